// The card of one photo: what is shown of it in each state. All text is set as text, never as HTML.

const SHOWN_FROM = 0.01; // a lower confidence means nothing
const SLOW = 1; // seconds
const template = document.getElementById("card");
const date = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeStyle: "short", timeZone: "UTC" });

const metres = value => value < 1000 ? `${Math.round(value)} m` : `${Number((value / 1000).toFixed(1))} km`;
const capital = text => text.charAt(0).toUpperCase() + text.slice(1);

export class Card {
  constructor(photo, number) {
    this.node = template.content.firstElementChild.cloneNode(true);
    this.find = selector => this.node.querySelector(selector);
    this.find("h3").id = `photo-${number}`;
    this.node.setAttribute("aria-labelledby", `photo-${number}`);
    this.find(".name").textContent = visible(photo.name);
    this.find(".none").textContent = photo.name.includes(".") ? photo.name.split(".").at(-1).slice(0, 5) : "";
    this.urls = [];
  }

  // "waiting", "looking", "cancelled", "failed" or "done"; a message says more.
  state(state, message = "") {
    this.node.dataset.state = state;
    const words = { waiting: "Waiting", looking: "Looking …", cancelled: "Cancelled" };
    this.find("h3").textContent = state === "failed" ? capital(message) : words[state] ?? "";
    if (state !== "done") for (const name of [".where", ".how", ".at", ".taken", ".note", ".top"]) this.find(name).replaceChildren();
  }

  picture(blob) {
    const image = this.find(".thumb img");
    image.src = this.url(blob);
    image.alt = "The photo";
    image.hidden = false;
    this.find(".none").hidden = true;
  }

  // What can be done about a photo that failed; null where nothing can.
  offer(retry, remove) {
    for (const [name, act] of [[".again", retry], [".away", remove]]) {
      const button = this.find(name);
      button.hidden = !act;
      button.onclick = () => { this.find("h3").focus(); act(); };
    }
  }

  // How much of the file is sent: told where that takes longer than a moment.
  sending(bytes, size, seconds) {
    if (seconds < SLOW || this.node.dataset.state !== "looking") return;
    const speed = bytes / seconds, left = Math.ceil((size - bytes) / speed);
    const told = `Sending: ${Math.floor(100 * bytes / size)}\u00a0% at ${(speed / 1e6).toFixed(1)}\u00a0MB/s, ${left}\u00a0s left`;
    this.find("h3").textContent = bytes < size ? told : "Looking …";
  }

  result(row, { threshold, landmarks }, locate) {
    this.state("done");
    this.node.classList.toggle("placed", row.latitude !== null);
    this.find("h3").textContent = headline(row);
    this.find(".where").textContent = placeOf(row, headline(row));
    this.find(".how").append(...how(row));
    if (row.latitude !== null) this.find(".at").append(...position(row, locate));
    this.find(".taken").textContent = taken(row);
    this.find(".note").textContent = note(row, threshold, landmarks.length);
    this.find(".top").append(...meaningful(row).map(candidate));
  }

  // What can be explained: the landmark that the picture shows, or may show.
  explainable(explain) {
    const button = this.find(".why"), section = this.find(".explained");
    button.hidden = false;
    button.addEventListener("click", () => {
      const opens = section.hidden;
      section.hidden = !opens;
      button.setAttribute("aria-expanded", opens);
      if (opens && !section.dataset.asked) explain();
    });
  }

  telling(message, asked = true) {
    this.find(".explained").dataset.asked = asked ? "yes" : "";
    this.find(".told").textContent = message;
  }

  explanation(found) {
    this.telling(tellExplanation(found));
    this.find(".pictures").replaceChildren(...drawExplanation(found, blob => this.url(blob)));
    this.find(".pictures").hidden = false;
  }

  url(blob) {
    this.urls.push(URL.createObjectURL(blob));
    return this.urls.at(-1);
  }

  forget() {
    this.urls.forEach(URL.revokeObjectURL);
    this.node.remove();
  }
}

function headline(row) {
  if (row.landmark) return row.landmark;
  if (row.latitude !== null) return row.place || row.country || "At sea, or a place without a name";
  if (row.status === "uncertain") return `Perhaps ${row.top_k[0].landmark}`;
  return row.evidence.startsWith("not classified") ? "Nothing to recognise" : "Place not known";
}

function placeOf(row, shown) {
  const town = row.landmark ? row.city || row.place : row.place;
  const names = [town, row.region, row.country].filter((name, at, all) => name && name !== shown && all.indexOf(name) === at);
  return names.join(", ");
}

// Whether the position was measured, and what an inferred one is worth.
function how(row) {
  if (row.latitude === null) return [];
  if (row.position_source === "measured") {
    const landmark = row.method === "position" ? `, ${row.evidence.replace(" of it", ` of ${row.landmark}`)}` : "";
    return [made("span", "", "key measured"), `Measured by the camera${landmark}`];
  }
  const within = row.radius_m === null ? "" : `; the camera stood within ${metres(row.radius_m)} of it`;
  return [made("span", "", "key inferred"), `Recognised in the picture${within}`];
}

function position({ latitude, longitude, altitude }, locate) {
  const height = altitude === null ? "" : `, ${Math.round(altitude)} m above the sea`;
  const place = `${Math.abs(latitude).toFixed(5)}° ${latitude < 0 ? "S" : "N"}, ${Math.abs(longitude).toFixed(5)}° ${longitude < 0 ? "W" : "E"}${height}`;
  const button = made("button", "Show on the map", "link");
  button.type = "button";
  button.addEventListener("click", locate);
  const link = made("a", "OpenStreetMap");
  link.href = `https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=15/${latitude}/${longitude}`;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return [made("span", place), button, link];
}

function taken({ taken_at, camera }) {
  const parts = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d))?/.exec(taken_at)?.slice(1).map(part => Number(part ?? 0));
  const when = parts ? date.format(Date.UTC(parts[0], parts[1] - 1, ...parts.slice(2))) : taken_at;
  return [when, camera].filter(Boolean).join(" · ");
}

function note(row, threshold, known) {
  if (row.error) return `${capital(row.error)}.`;
  if (row.status === "uncertain") return `Not sure enough for a tag, which takes ${percent(threshold)}.`;
  if (row.status !== "no_landmark") return "";
  if (row.evidence) return `${capital(row.evidence.replace("not classified: ", ""))}. Its metadata hold no position.`;
  return `Its metadata hold no position, and it shows none of the ${known} landmarks that the model knows.`;
}

// Whether the picture itself speaks for a landmark: not beside a position that was measured elsewhere.
export function isSeen(row) {
  return row.top_k.length > 0 && (row.status === "tagged" || row.status === "uncertain" || (row.landmark !== "" && row.method !== "position"));
}

function meaningful(row) {
  return isSeen(row) ? row.top_k.filter(({ confidence }, at) => at === 0 || confidence >= SHOWN_FROM).slice(0, 3) : [];
}

function candidate({ landmark, confidence }) {
  const item = made("li"), meter = document.createElement("meter");
  meter.value = confidence;
  meter.setAttribute("aria-label", `confidence that it is ${landmark}`);
  item.append(made("span", landmark), meter, made("span", percent(confidence), "percent"));
  return item;
}

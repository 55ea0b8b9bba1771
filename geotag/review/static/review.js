const element = id => document.getElementById(id);
const number = value => value.toLocaleString("en");
const metres = value => value < 1000 ? `${Math.round(value)} m` : `${(value / 1000).toFixed(1)} km`;
const DOUBTS = {
  conflict: "The picture and the time contradict each other", uncertain: "Uncertain: which one is it, if any?",
  wide: "Was it taken here?", own: "One of your own landmarks, learned from a few photos",
  tagged: "Tagged with a landmark",
};
const SHOWN_FROM = 0.01; // a lower confidence means nothing
const AHEAD = 3;
let items = [], at = 0, current = null, last = null, asked = 0;
let choices = [], selected = -1, clicked = null;
let key = sessionStorage.getItem("key");
const details = new Map(), pictures = new Map();

async function send(path, body) {
  const headers = { "X-Geotag-Key": key ?? "" };
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Error("no answer: geotag review was ended. What you decided before is kept; start it again to go on.");
  }
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error ?? `the server answered ${response.status}`);
  return response;
}

const ask = async (path, body) => (await send(path, body)).json();

function tell(message) {
  element("notice").textContent = message;
  element("notice").hidden = !message;
}

class ReviewMap extends WorldMap {
  constructor(canvas, world) {
    super(canvas, world, () => {});
    this.candidates = [];
  }

  draw() {
    super.draw();
    if (!this.width) return;
    const context = this.context, style = getComputedStyle(this.canvas);
    context.font = "700 12px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const { place, label } of [...this.candidates].reverse()) {
      const [x, y] = this.screen(mercator(...place));
      context.fillStyle = style.getPropertyValue("--text");
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(x - 6, y - 9);
      context.lineTo(x + 6, y - 9);
      context.fill();
      context.fillRect(x - 9, y - 25, 18, 17);
      context.fillStyle = style.getPropertyValue("--back");
      context.fillText(label, x, y - 16);
    }
  }

  click(x, y) {
    const east = this.x + (x - this.width / 2) / this.size, south = this.y + (y - this.height / 2) / this.size;
    const longitude = (((east % 1) + 1) % 1 - 0.5) * 360;
    const latitude = (2 * Math.atan(Math.exp(Math.PI * (1 - 2 * south))) - Math.PI / 2) * 180 / Math.PI;
    chooseHere(latitude, longitude);
  }

  // Photos near in time, and the likeliest candidate: alone, with the country around it.
  look(points, candidates) {
    this.candidates = candidates;
    this.show(points);
    const ends = candidates.slice(0, 1).map(({ place }) => ({ at: mercator(...place) }));
    this.fit([...points, ...ends]);
    if (this.width) this.zoom(Math.min(1, 2 ** (points.length ? 20 : 14) / this.size));
  }
}

let map;

function prefetch(row) {
  if (!details.has(row)) {
    const asked = ask(`/api/photo/${row}`);
    asked.catch(() => {}); // told when its turn comes
    details.set(row, asked);
  }
  if (!pictures.has(row)) {
    const loaded = send(`/api/picture/${row}`).then(answer => answer.blob()).then(blob => URL.createObjectURL(blob));
    loaded.catch(() => {});
    pictures.set(row, loaded);
  }
}

function forgetFar() {
  const near = new Set(items.slice(Math.max(0, at - AHEAD), at + AHEAD + 1).map(item => item.row));
  for (const [row, loaded] of pictures) {
    if (near.has(row)) continue;
    loaded.then(URL.revokeObjectURL, () => {});
    pictures.delete(row);
  }
}

const openFrom = start => {
  for (let step = 0; step < items.length; step++) {
    const place = (start + step) % items.length;
    if (!items[place].decision) return place;
  }
  return -1;
};

function showProgress() {
  const decided = items.reduce((sum, item) => sum + Boolean(item.decision), 0);
  element("progress").textContent = `${number(decided)} of ${number(items.length)} decided`;
  element("bar").max = items.length;
  element("bar").value = decided;
}

async function show(place) {
  const turn = ++asked;
  closeForms();
  current = null; // no key is taken for a photo that is not in sight yet
  element("done").hidden = place >= 0;
  element("photo").hidden = place < 0;
  if (place < 0) {
    showProgress();
    element("done").querySelector("h2").focus();
    return;
  }
  at = place;
  const { row } = items[at];
  prefetch(row);
  try {
    const shown = await details.get(row);
    if (turn !== asked) return;
    current = shown;
    showDetails(shown);
    showProgress();
  } catch (error) {
    details.delete(row);
    if (turn === asked) tell(error.message);
    return;
  }
  await showPicture(row, turn);
  for (const item of items.slice(at + 1, at + 1 + AHEAD)) prefetch(item.row);
  forgetFar();
}

async function showPicture(row, turn) {
  const picture = element("picture");
  picture.hidden = true;
  element("no-picture").hidden = true;
  try {
    const source = await pictures.get(row);
    if (turn !== asked) return;
    picture.src = source;
    picture.alt = `The photo ${current.name}`;
    picture.hidden = false;
  } catch (error) {
    pictures.delete(row);
    if (turn !== asked) return;
    element("no-picture").textContent = `The photo cannot be shown: ${error.message}`;
    element("no-picture").hidden = false;
  }
}

function showDetails(shown) {
  const isPlaced = shown.status === "placed";
  shown.candidates = shown.candidates.filter(({ confidence }, place) => confidence >= SHOWN_FROM || (place === 0 && !isPlaced));
  element("name").textContent = visible(shown.name);
  element("facts").textContent = visible([shown.taken.replace("T", " "), shown.camera, shown.folder].filter(Boolean).join(" · "));
  element("why").textContent = DOUBTS[shown.doubt] ?? shown.doubt;
  element("place").textContent = isPlaced ? `${shown.place || "A place without a name"}, within ${metres(shown.radius ?? 0)}` : "";
  element("evidence").textContent = shown.evidence;
  element("accept").lastChild.textContent = isPlaced ? " Place is right" : " Accept";
  element("reject").lastChild.textContent = isPlaced ? " Place is wrong" : " No landmark";
  element("explained").hidden = true;
  element("state").textContent = describe(shown.decision);
  element("candidates").replaceChildren(...shown.candidates.map(candidate));
  element("burst").disabled = element("day").disabled = false;
  element("explain").disabled = !shown.candidates.length;
  element("accept").disabled = !shown.candidates.length && !isPlaced;
  element("neighbours").replaceChildren(...shown.neighbours.map(near => made("li", besides(near))));
  const points = shown.neighbours.map(near => point(near.position, near.inferred, near.radius));
  if (shown.position) points.push(point(shown.position, true, shown.radius));
  const pins = shown.candidates.map((one, place) => ({ place: one.position, label: place + 1 })).filter(one => one.place);
  map.look(points, pins);
  nameTowns(shown.position ?? shown.neighbours[0]?.position ?? pins[0]?.place);
}

// The names of towns on the map: it does without where they do not come.
async function nameTowns(place) {
  const turn = asked;
  if (!place) return;
  const { towns } = await ask(`/api/towns?latitude=${place[0]}&longitude=${place[1]}`).catch(() => ({ towns: [] }));
  if (turn === asked) map.surround(towns, [], 1);
}

function point([latitude, longitude], inferred, radius) {
  return { at: mercator(latitude, longitude), inferred, radius: inferred ? radius : null, latitude, row: null };
}

function besides({ name, seconds, camera, inferred }) {
  const away = Math.abs(seconds), way = seconds < 0 ? "before" : "after";
  const long = away < 90 ? `${Math.round(away)} s` : away < 5400 ? `${Math.round(away / 60)} min` : `${(away / 3600).toFixed(1)} h`;
  return `${long} ${way}: ${name}${camera ? ` (${camera})` : ""}, ${inferred ? "inferred" : "measured"}`;
}

function describe(decision) {
  if (!decision) return "";
  if (decision.verdict === "rejected") return "Decided: no landmark";
  return `Decided: ${decision.landmark || "the place is right"}`;
}

function candidate(one, place) {
  const item = made("li"), button = made("button"), meter = document.createElement("meter");
  button.type = "button";
  meter.value = one.confidence;
  meter.setAttribute("aria-label", `confidence ${percent(one.confidence)}`);
  const what = made("span", one.landmark, "what");
  if (one.country) what.append(" ", made("small", one.country));
  button.append(made("kbd", place + 1), what, made("span", percent(one.confidence)), meter);
  button.addEventListener("click", () => decide({ action: "accept", candidate: place }));
  item.append(button);
  return item;
}

// One decision at a time, each for the photo that was in sight when its key was pressed.
let deciding = Promise.resolve();

function decide(decision, row = current?.row) {
  if (row === undefined) return;
  const moves = !["burst", "day"].includes(decision.action);
  deciding = deciding.then(async () => {
    try {
      const { rows } = await ask("/api/decide", { row, ...decision });
      note(rows, true);
      if (moves) last = row;
      tell("");
      if (!moves) element("state").textContent = rows.length ? `The same for ${number(rows.length)} more` : "No others are left to decide";
      if (moves || items[at].decision) await advance();
      else showProgress();
    } catch (error) {
      tell(error.message);
    }
  });
}

function note(rows, decision) {
  const changed = new Set(rows);
  for (const item of items) if (changed.has(item.row)) item.decision = decision;
  for (const row of rows) details.delete(row);
  details.clear(); // what is left of a burst or day
}

const advance = () => show(openFrom(at + 1));

function undo() {
  deciding = deciding.then(async () => {
    try {
      const { rows } = await ask("/api/undo", {});
      note(rows, null);
      last = null;
      tell("");
      const place = items.findIndex(item => rows.includes(item.row));
      if (place >= 0) await show(place);
      element("state").textContent = rows.length ? `Taken back: ${rows.length === 1 ? "1 decision" : `${number(rows.length)} decisions`}` : "Nothing to take back here";
    } catch (error) {
      tell(error.message);
    }
  });
}

function repeat(scope) {
  const row = last ?? current?.row;
  if (row !== undefined) decide({ action: scope }, row);
}

function step(by) {
  if (!items.length) return;
  const place = element("photo").hidden ? items.length - 1 : (at + by + items.length) % items.length;
  show(place);
}

async function explain() {
  const { row, candidates } = current ?? {}, section = element("explained");
  if (!candidates?.length) return;
  element("state").textContent = "Looking at it with parts hidden …";
  try {
    const found = await (await send(`/api/explain/${row}?landmark=${encodeURIComponent(candidates[0].slug)}`)).json();
    if (row !== current?.row) return;
    section.querySelectorAll("img").forEach(image => URL.revokeObjectURL(image.src));
    section.querySelector(".told").textContent = tellExplanation(found);
    section.querySelector(".pictures").replaceChildren(...drawExplanation(found, blob => URL.createObjectURL(blob)));
    section.hidden = false;
    element("state").textContent = describe(current.decision);
  } catch (error) {
    if (row === current?.row) element("state").textContent = `No explanation: ${error.message}`;
  }
}

function closeForms() {
  for (const id of ["changing", "naming"]) element(id).hidden = true;
  if (document.activeElement?.closest?.("#changing, #naming")) element("name").focus();
}

function change() {
  if (!current) return;
  closeForms();
  element("changing").hidden = false;
  element("search").value = "";
  showFound([]);
  element("search").focus();
}

let searching = 0, finding = Promise.resolve();

async function search() {
  const turn = ++searching, query = element("search").value.trim();
  const near = current.position ?? current.neighbours[0]?.position ?? null;
  if (!query) return showFound([]);
  const place = near ? `&latitude=${near[0]}&longitude=${near[1]}` : "";
  try {
    const { places } = await ask(`/api/search?q=${encodeURIComponent(query)}${place}`);
    if (turn === searching) showFound(places);
  } catch (error) {
    tell(error.message);
  }
}

function showFound(places) {
  choices = places;
  element("found").replaceChildren(...places.map((place, index) => {
    const item = made("li"), what = made("span", place.landmark, "what");
    item.id = `found-${index}`;
    item.setAttribute("role", "option");
    const around = [place.city === place.landmark ? place.region : place.city, place.country].filter(Boolean).join(", ");
    item.append(what, made("small", [place.slug ? "landmark" : "town", around].filter(Boolean).join(" · ")));
    item.addEventListener("click", () => decide({ action: "change", place }));
    return item;
  }));
  element("search").setAttribute("aria-expanded", places.length > 0);
  select(places.length ? 0 : -1);
}

function select(index) {
  selected = index;
  const options = [...element("found").children];
  options.forEach((option, place) => option.setAttribute("aria-selected", place === index));
  if (index < 0) return element("search").removeAttribute("aria-activedescendant");
  element("search").setAttribute("aria-activedescendant", options[index].id);
  options[index].scrollIntoView({ block: "nearest" });
}

async function chooseHere(latitude, longitude) {
  if (!current) return;
  const { row } = current;
  try {
    clicked = await ask(`/api/place?latitude=${latitude}&longitude=${longitude}`);
  } catch (error) {
    return tell(error.message);
  }
  if (row !== current?.row) return;
  closeForms();
  element("naming").hidden = false;
  element("place-name").value = clicked.landmark;
  element("where").textContent = `${latitude.toFixed(5)}, ${longitude.toFixed(5)}, nearest town ${[clicked.city, clicked.country].filter(Boolean).join(", ")}`;
  element("place-name").focus();
  element("place-name").select();
}

const KEYS = {
  a: () => decide({ action: "accept" }), Enter: () => decide({ action: "accept" }), r: () => decide({ action: "reject" }),
  c: change, "/": change, b: () => repeat("burst"), d: () => repeat("day"), u: undo, e: explain,
  ArrowRight: () => step(1), ArrowLeft: () => step(-1), "?": () => element("helping").showModal(),
};

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || element("helping").open) return;
  const { target } = event, name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.key === "Escape") return closeForms();
  if (target.matches("input")) return;
  if (target.matches("canvas") && ["ArrowLeft", "ArrowRight", "Enter"].includes(name)) return;
  if (target.matches("button") && name === "Enter") return;
  const candidate = Number(name) - 1;
  if (/^[1-9]$/.test(name) && !current?.candidates[candidate]) return; // only what is shown
  const act = /^[1-9]$/.test(name) ? () => decide({ action: "accept", candidate }) : KEYS[name];
  if (!act || event.repeat && !name.startsWith("Arrow")) return;
  event.preventDefault();
  act();
});
for (const id of ["accept", "reject"]) element(id).addEventListener("click", () => decide({ action: id }));
for (const [id, act] of Object.entries({
  change, burst: () => repeat("burst"), day: () => repeat("day"), undo, explain, next: () => step(1), previous: () => step(-1),
  help: () => element("helping").showModal(), "not-here": closeForms,
})) element(id).addEventListener("click", act);
element("search").addEventListener("input", () => { finding = search(); });
element("search").addEventListener("keydown", event => {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || !choices.length) return;
  event.preventDefault();
  select((selected + by + choices.length) % choices.length);
});
element("changing").addEventListener("submit", async event => {
  event.preventDefault();
  const { row } = current;
  await finding; // what was typed last
  if (row === current?.row && choices[selected]) decide({ action: "change", place: choices[selected] });
});
element("naming").addEventListener("submit", event => {
  event.preventDefault();
  decide({ action: "change", place: { ...clicked, landmark: element("place-name").value } });
});

async function start() {
  const token = location.hash.slice(1);
  if (token) {
    history.replaceState(null, "", "/"); // it opens the page once, and is of no use after
    const answer = await ask("/api/session", { token });
    key = answer.key;
    sessionStorage.setItem("key", key);
  }
  const [world, queue] = await Promise.all([ask("/shared/world.json"), ask("/api/queue")]);
  map = new ReviewMap(element("map"), world);
  items = queue.items;
  await show(openFrom(0));
}

start().catch(error => tell(error.message));

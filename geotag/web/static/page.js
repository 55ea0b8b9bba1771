// Sends photos to the server one after the other and shows what it says of each.

const drop = document.getElementById("drop");
const results = document.getElementById("results");
const SIZE_LIMIT = 128 * 2 ** 20;  // the server's
const template = document.getElementById("card");
// One photo at a time, and one explanation, so that neither waits for many of the other.
let looking = Promise.resolve();
let explaining = Promise.resolve();

document.getElementById("files").addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = "";
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  add(event.dataTransfer.files);
});

function add(files) {
  for (const file of files) {
    const card = newCard(file);
    looking = looking.then(() => look(file, card));
  }
}

function newCard(file) {
  const card = template.content.firstElementChild.cloneNode(true);
  const photo = card.querySelector(".photo");
  photo.addEventListener("error", () => { photo.hidden = true; });  // HEIC and raw, in most browsers
  showBlob(photo, file);
  card.querySelector("h2").textContent = "Looking …";
  card.querySelector(".name").textContent = file.name;
  results.prepend(card);
  return card;
}

function showBlob(image, blob) {
  image.src = URL.createObjectURL(blob);
  for (const end of ["load", "error"]) {
    image.addEventListener(end, () => URL.revokeObjectURL(image.src), { once: true });
  }
}

async function look(file, card) {
  try {
    if (file.size >= SIZE_LIMIT) throw new Error("too large a file");
    show(file, card, await (await send("scan", file)).json());
  } catch (error) {
    fail(card, error);
  }
}

async function send(what, file, more = {}) {
  const query = new URLSearchParams({ name: file.name, ...more });
  let response;
  try {
    const headers = { "Content-Type": "application/octet-stream" };
    response = await fetch(`/api/${what}?${query}`, { method: "POST", headers, body: file });
  } catch {
    throw new Error("no answer: the server has stopped, or refused a file of this size");
  }
  if (!response.ok) {
    const { error } = await response.json().catch(() => ({}));
    const otherwise = response.status === 413 ? "too large a file" : `the server answered ${response.status}`;
    throw new Error(error ?? otherwise);
  }
  return response;
}

function show(file, card, row) {
  card.querySelector("h2").textContent = headline(row);
  card.querySelector(".place").textContent = [row.city, row.country].filter(Boolean).join(", ");
  if (row.latitude !== null) card.querySelector(".measured").append(...position(row));
  const worthTelling = row.top_k.filter(({ confidence }, at) => at === 0 || confidence >= 0.001);
  card.querySelector(".top").append(...worthTelling.map(entry));
  if (row.top_k.length === 0) return;
  const why = card.querySelector(".why");
  why.hidden = false;
  why.addEventListener("click", () => {
    why.disabled = true;
    why.textContent = "Waiting for its turn …";
    explaining = explaining.then(() => explain(file, card, row.top_k[0]));
  });
}

function headline(row) {
  if (row.top_k.length === 0) return `Nothing to recognise (${row.evidence})`;
  const { landmark, confidence } = row.top_k[0];
  if (row.landmark) return row.landmark;
  if (row.status === "uncertain" || confidence >= 0.5) return `Perhaps ${landmark}, but not surely enough`;
  return "No known landmark here";
}

function position(row) {
  const at = `${row.latitude.toFixed(5)}, ${row.longitude.toFixed(5)}`;
  const link = document.createElement("a");
  link.href = `https://www.openstreetmap.org/?mlat=${row.latitude}&mlon=${row.longitude}#map=15/${row.latitude}/${row.longitude}`;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  link.textContent = at;
  const measured = row.position_source === "measured";
  return [measured ? "The camera measured its position: " : "A guess: the landmark stands at ", link];
}

function entry({ landmark, confidence }) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  name.textContent = landmark;
  const meter = document.createElement("meter");
  meter.value = confidence;
  meter.setAttribute("aria-label", `confidence that it is ${landmark}`);
  const percent = document.createElement("span");
  percent.className = "percent";
  percent.textContent = `${(100 * confidence).toFixed(1)} %`;
  item.append(name, meter, percent);
  return item;
}

async function explain(file, card, { slug, landmark }) {
  const why = card.querySelector(".why");
  why.textContent = "Looking at it with parts hidden …";
  try {
    const drawing = await (await send("explain", file, { landmark: slug })).blob();
    const image = card.querySelector(".explanation");
    showBlob(image, drawing);
    image.alt = `Which parts of the photo speak for ${landmark}, and which against`;
    image.hidden = false;
    why.hidden = true;
  } catch (error) {
    why.textContent = error.message;
  }
}

function fail(card, error) {
  card.classList.add("failed");
  card.querySelector("h2").textContent = error.message;
}

// The page: takes photos, has the server look at them, and shows what it says in their order.

import { Card, isSeen } from "./card.js";
import { Intake, receive } from "./intake.js";
import { Gone, Refused, Server } from "./server.js";
import { saveTable } from "./tables.js";
import { Work } from "./work.js";

const element = id => document.getElementById(id);
const number = value => value.toLocaleString("en");
const counted = (count, what) => `${number(count)} ${what}${count === 1 ? "" : "s"}`;
const LANES = 2; // one is sent while the other is looked at
const TRIES = 3;
const THUMBNAIL = 480; // pixels
const TELL_EVERY = 3000; // milliseconds
const NAMED = 3; // of the files that are left out
const MANY = 50, DRAW_EVERY = 1000; // photos, milliseconds
const WIDE = 2 ** 19, RADIUS_SHARE = 0.12;

let about, map, drawing = null, running = 0, stopping = new AbortController(), explaining = Promise.resolve(), told = 0, taken = 0;
const photos = [], towns = new Map(), work = new Work();
const server = new Server(why => banner("gone", why));

function banner(id, text) {
  element(id).textContent = text;
  element(id).hidden = !text;
}

class PhotoMap extends WorldMap {
  draw() {
    super.draw();
    const mark = this.marks.find(({ points }) => points.some(({ row }) => row === this.chosen));
    if (!mark) return;
    this.context.strokeStyle = this.colours.text;
    this.context.lineWidth = 2.5;
    this.context.beginPath();
    this.context.arc(mark.x, mark.y, mark.reach + 6, 0, 2 * Math.PI);
    this.context.stroke();
  }

  showAll() {
    this.touched = false;
    super.showAll();
  }

  resize() {
    const isFirst = !this.size;
    super.resize();
    if (isFirst && this.chosen) this.look(this.chosen);
  }

  // One photo with its radius, or with what is around it.
  look(photo) {
    this.chosen = photo;
    const { point } = photo;
    this.fit([point]);
    if (!this.width) return;
    const reach = point.radius ? point.radius / (EQUATOR * Math.cos(point.latitude * Math.PI / 180)) : 0;
    this.zoom((reach ? RADIUS_SHARE * Math.min(this.width, this.height) / reach : WIDE) / this.size);
  }

  choosePhotos(chosen) {
    const span = axis => Math.max(...chosen.map(({ point }) => point.at[axis])) - Math.min(...chosen.map(({ point }) => point.at[axis]));
    if (chosen.length > 1 && Math.max(span(0), span(1)) * this.size > 4) return this.fit(chosen.map(({ point }) => point));
    this.chosen = chosen[0];
    this.update();
    const { node } = chosen[0].card;
    mark(chosen);
    node.scrollIntoView({ block: "nearest" });
    node.querySelector("h3").focus({ preventScroll: true });
  }
}

function mark(chosen) {
  for (const { card } of photos) card.node.classList.remove("chosen");
  for (const { card } of chosen) card.node.classList.add("chosen");
}

async function take(gather) {
  if (!about) return;
  const intake = new Intake(about.extensions, about.photos - photos.length);
  await gather(intake);
  const notes = [...intake.problems];
  if (intake.skipped.length) notes.push(tellSkipped(intake.skipped));
  if (intake.left) notes.push(`${counted(intake.left, "photo")} left out: the page takes ${number(about.photos)} at a time.`);
  if (!notes.length && !intake.photos.length) notes.push("No photos in it.");
  const [here, added] = parted(intake.photos);
  if (here.length) notes.push(`${counted(here.length, "photo")} ${here.length === 1 ? "is" : "are"} here already.`);
  banner("notice", notes.join(" "));
  for (const photo of added) enlist(photo);
  element("photos").append(...added.map(({ card }) => card.node));
  again(here.filter(isOpen));
}

function tellSkipped(names) {
  const some = names.slice(0, NAMED).map(visible).join(", ");
  return `${counted(names.length, "file")} left out that ${names.length === 1 ? "is no photo" : "are no photos"}: ${some}${names.length > NAMED ? " …" : "."}`;
}

// Those that the page has already, and the new ones.
function parted(given) {
  const known = new Map(photos.map(photo => [photo.key, photo])), here = [], added = [];
  for (const photo of given) {
    const same = known.get(photo.key);
    if (same) same.open = photo.open; // the file may have been out of reach
    (same ? here : added).push(same ?? photo);
    known.set(photo.key, same ?? photo);
  }
  return [here, added];
}

function enlist(photo) {
  photo.card = new Card(photo, taken++);
  photo.tries = 0;
  set(photo, "waiting");
  photos.push(photo);
  if (photo.size >= about.size_limit) fail(photo, `larger than ${about.size_limit / 2 ** 20} MiB`);
}

function set(photo, state, message = "") {
  photo.state = state;
  photo.card.state(state, message);
  photo.card.offer(null, null);
}

function fail(photo, message, retry = null) {
  set(photo, "failed", message);
  photo.canRetry = Boolean(retry);
  photo.card.offer(retry, () => remove([photo]));
}

const again = wanted => {
  for (const photo of wanted) {
    photo.tries = 0;
    set(photo, "waiting");
  }
  go();
};

function go() {
  if (running === 0) stopping = new AbortController();
  while (running < LANES && photos.filter(({ state }) => state === "waiting").length > 0) {
    running++;
    const next = photos.find(({ state }) => state === "waiting");
    set(next, "looking");
    look(next, stopping.signal).finally(() => { running--; go(); });
  }
  progress();
}

async function look(photo, signal) {
  try {
    const blob = await content(photo);
    const sent = (bytes, seconds) => photo.card.sending(bytes, blob.size, seconds);
    const answer = await server.ask("scan", { query: { name: photo.name }, body: blob, signal, sent });
    if (signal.aborted) throw new DOMException("", "AbortError");
    show(photo, await answer.json());
    await showPicture(photo, blob, signal);
  } catch (error) {
    if (photo.state === "looking") await missed(photo, error);
  }
}

async function missed(photo, error) {
  if (error.name === "AbortError") return set(photo, "cancelled");
  const retry = () => again([photo]);
  if (error instanceof Refused && error.body.csv) photo.row = error.body;
  if (!(error instanceof Gone)) return fail(photo, error.message, error instanceof Refused && error.body.again === false ? null : retry);
  if (++photo.tries >= TRIES) return fail(photo, "the server does not take it", retry);
  set(photo, "waiting");
  await Promise.race([server.back(), aborted(stopping.signal)]);
}

const aborted = signal => new Promise(resolve => signal.addEventListener("abort", resolve, { once: true }));

// The photo's bytes; a file that went since, or a zip's damaged entry, tells so here and not as a server that is gone.
async function content(photo) {
  const blob = await photo.open(about.size_limit);
  try {
    await blob.slice(0, 1).arrayBuffer();
  } catch {
    throw new Error("cannot be read: was it moved or changed?");
  }
  return blob;
}

function show(photo, row) {
  photo.state = "done";
  photo.row = row;
  photo.card.result(row, about, () => locate(photo));
  if (about.explains && isSeen(row)) photo.card.explainable(() => { explaining = explaining.then(() => explain(photo)); });
  if (row.latitude !== null) place(photo, row);
}

function place(photo, { latitude, longitude, position_source, radius_m, towns: around }) {
  const inferred = position_source === "inferred";
  photo.point = { at: mercator(latitude, longitude), inferred, radius: inferred ? radius_m : null, latitude, row: photo };
  for (const town of around) towns.set(town.join(), town);
  element("place").hidden = false;
  element("results").classList.add("mapped");
  drawing ??= setTimeout(drawMap, photos.length > MANY ? DRAW_EVERY : 0);
}

// Of many photos not one by one, which would take longer than to look at them.
function drawMap() {
  drawing = null;
  const placed = photos.filter(({ point }) => point);
  map.surround([...towns.values()], [], 1);
  map.show(placed.map(({ point }) => point));
  if (map.touched) return;
  if (placed.length === 1) return map.look(placed[0]);
  map.chosen = null;
  if (placed.length) map.fit();
}

function locate(photo) {
  map.look(photo);
  mark([photo]);
  element("frame").scrollIntoView({ block: "nearest" });
  element("map").focus({ preventScroll: true });
}

async function showPicture(photo, blob, signal) {
  let small;
  try {
    small = await shrunk(blob);
  } catch { // as of HEIC and raw, in most browsers
    const answer = await server.ask("preview", { query: { name: photo.name }, body: blob, signal }).catch(() => null);
    if (!answer) return;
    small = await answer.blob();
  }
  photo.card.picture(small);
}

async function shrunk(blob) {
  const whole = await createImageBitmap(blob), scale = Math.min(1, THUMBNAIL / Math.max(whole.width, whole.height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [whole.width, whole.height].map(side => Math.max(1, Math.round(side * scale)));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(whole, 0, 0, canvas.width, canvas.height);
  whole.close();
  return new Promise((resolve, reject) => canvas.toBlob(small => small ? resolve(small) : reject(), "image/webp", 0.8));
}

async function explain(photo) {
  const { card, row } = photo, { slug } = row.top_k[0];
  card.telling("Looking at it with parts hidden, two hundred times …");
  try {
    const blob = await content(photo);
    card.explanation(await (await server.ask("explain", { query: { name: photo.name, landmark: slug }, body: blob })).json());
  } catch (error) {
    card.telling(`No explanation: ${error.message}. Close and open it to try again.`, false);
  }
}

function progress() {
  const count = state => photos.filter(photo => photo.state === state).length;
  const failed = count("failed"), over = count("done") + failed, active = count("waiting") + count("looking") > 0;
  const focused = document.activeElement;
  work.note(active, over);
  element("work").hidden = element("results").hidden = photos.length === 0;
  document.body.classList.toggle("busy", photos.length > 0);
  const trouble = failed ? `, ${number(failed)} failed` : "";
  const text = active || count("cancelled") ? `${number(over)} of ${number(photos.length)}${trouble}` : `${counted(photos.length, "photo")}${trouble}`;
  element("count").textContent = text;
  element("more").textContent = active ? work.left(photos.length - over, over) : tellPlaced();
  const whole = `${active ? "" : count("cancelled") ? "Cancelled: " : "Finished: "}${text}`;
  document.title = photos.length ? `${whole}: geotag` : "geotag: where was this taken?";
  element("bar").max = Math.max(1, photos.length);
  element("bar").value = over;
  element("bar").hidden = !active;
  const shown = { cancel: active, "go-on": count("cancelled") > 0 && !active, retry: !active && photos.some(isRetryable), dismiss: !active && failed > 0, failed: failed > 0 && photos.length > 1, clear: !active && photos.length > 0 };
  for (const id of ["csv", "geojson"]) shown[id] = !active && photos.some(({ row }) => row);
  for (const id in shown) element(id).hidden = !shown[id];
  if (!shown.failed) filter(false);
  if (focused?.hidden && element("work").contains(focused)) element("count").focus();
  announce(photos.length ? whole : "", !active);
}

const isFailed = ({ state }) => state === "failed";
const isRetryable = photo => isFailed(photo) && photo.canRetry;
const isOpen = photo => photo.state === "cancelled" || isRetryable(photo);

function tellPlaced() {
  const done = photos.filter(({ state }) => state === "done"), placed = done.filter(({ point }) => point).length;
  return done.length > 1 ? `${number(placed)} with a place, ${number(done.length - placed)} without` : "";
}

// For screen readers: not each photo, which would leave no silence.
function announce(text, atOnce) {
  if (!atOnce && Date.now() - told < TELL_EVERY) return;
  told = Date.now();
  if (element("live").textContent !== text) element("live").textContent = text;
}

function cancel() {
  for (const photo of photos) if (photo.state === "waiting") set(photo, "cancelled");
  stopping.abort();
  progress();
}

// Failures alone are shown, or all.
function filter(yes) {
  element("photos").classList.toggle("filtered", yes);
  element("failed").setAttribute("aria-pressed", yes);
}

function remove(wanted) {
  for (const photo of wanted) {
    photos.splice(photos.indexOf(photo), 1);
    photo.card.forget();
  }
  progress();
  (photos.length ? element("count") : element("choose")).focus();
}

function clear() {
  remove([...photos]);
  towns.clear();
  element("place").hidden = true;
  element("results").classList.remove("mapped");
  map.touched = false;
  banner("notice", "");
}

const save = kind => saveTable(photos.filter(({ row }) => row).map(({ row }) => row[kind]), kind);

function find() {
  const wanted = plain(element("search").value);
  const found = about.landmarks.filter(names => names.some(name => plain(name).includes(wanted)));
  element("found").textContent = found.length === about.landmarks.length ? "" : found.length ? `${number(found.length)} found` : "None is called so";
  element("landmarks").replaceChildren(...found.map(([name, city, country]) => {
    const item = made("li", name);
    item.append(made("span", [city, country].filter(Boolean).join(", ")));
    return item;
  }));
}

const plain = text => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().trim();

function tellLimits() {
  const { extensions, photos: most, size_limit, landmarks } = about;
  const raw = extensions.includes("dng") ? " and raw files" : "";
  const heic = extensions.includes("heic") ? ", HEIC" : "";
  element("limits").textContent = `JPEG, PNG, WebP, AVIF, TIFF, GIF${heic}${raw}. Up to ${number(most)} at a time, ${size_limit / 2 ** 20} MiB each.`;
  element("files").accept = ["image/*", ...extensions.map(one => `.${one}`), ".zip"].join();
  element("knows-text").textContent = `The model recognises ${counted(landmarks.length, "landmark")}. Of other photos the page tells where they were taken if the camera measured it.`;
  element("knows-count").textContent = `: ${counted(landmarks.length, "landmark")}`;
  element("know").hidden = false;
}

function listen() {
  const choose = (button, input) => {
    element(button).addEventListener("click", () => element(input).click());
    element(input).addEventListener("change", async () => {
      const files = [...element(input).files];
      element(input).value = "";
      await take(intake => intake.addFiles(files));
    });
  };
  choose("choose", "files");
  choose("choose-folder", "folder");
  element("choose-folder").hidden = !("webkitdirectory" in element("folder"));
  element("example").addEventListener("click", () => take(async intake => {
    const picture = await (await server.ask("example")).blob();
    intake.add({ name: "drawn pyramid.jpg", key: "example", size: picture.size, open: async () => picture }, false);
  }).catch(error => banner("notice", `No example: ${error.message}.`)));
  receive(take);
  const acts = {
    cancel, clear, csv: () => save("csv"), geojson: () => save("geojson"), dismiss: () => remove(photos.filter(isFailed)),
    failed: () => filter(!element("photos").classList.contains("filtered")), retry: () => again(photos.filter(isRetryable)),
    "go-on": () => again(photos.filter(({ state }) => state === "cancelled")),
    know: () => { find(); element("knows").showModal(); },
  };
  for (const id in acts) element(id).addEventListener("click", acts[id]);
  element("search").addEventListener("input", find);
  for (const kind of ["pointerdown", "wheel", "keydown"]) element("frame").addEventListener(kind, () => { map.touched = true; }, { passive: true });
}

async function start() {
  listen();
  while (!about) {
    try {
      about = await (await server.ask("about")).json();
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      await server.back();
    }
  }
  map = new PhotoMap(element("map"), await (await fetch("/shared/world.json")).json(), chosen => map.choosePhotos(chosen));
  tellLimits();
  document.body.classList.add("ready");
}

start().catch(error => banner("notice", error.message));

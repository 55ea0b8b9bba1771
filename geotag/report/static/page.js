const element = id => document.getElementById(id);
const parsed = id => JSON.parse(element(id).textContent);
const number = value => value.toLocaleString("en");
const photos = count => count === 1 ? "1 photo" : `${number(count)} photos`;

const STATUSES = {
  has_gps: "position from the camera", tagged: "tagged with a landmark", placed: "placed by other evidence",
  uncertain: "uncertain", no_landmark: "no landmark", conflict: "conflict", unreadable: "could not be read",
  private: "in a private zone",
};
const METHODS = {
  landmark: "landmark seen in the photo", neighbour: "photos near in time", track: "recorded track", copy: "copy of a photo with a position",
  sidecar: "sidecar",
  match: "photos of the same scene", vicinity: "landmarks of one place", position: "position of the photo",
};
const SHOWN_FROM = 0.01; // a lower confidence means nothing
const SELECTS = ["status", "method", "landmark", "country", "camera"];
const AROUND = 800, ROWS = 4; // pixels above and below the window in which there are cards, too; rows that come at a time
const MOST_CHUNKS = 150, MOST_LISTED = 1000, MOST_BARS = 120, MOST_DAYS = 45;

function readRows() {
  const { count, repeated, words, columns } = parsed("rows");
  const rows = [];
  for (let at = 0; at < count; at++) {
    const row = { number: at };
    for (const name in columns) row[name] = columns[name][at];
    for (const name of repeated) row[name] = words[row[name]];
    row.day = /^\d{4}-\d{2}-\d{2}/.exec(row.taken)?.[0] ?? "";
    row.candidates = row.candidates.map(([word, confidence]) => [words[word], confidence]);
    if (row.position) {
      const [latitude, longitude] = row.position;
      const inferred = row.position_source === "inferred";
      row.point = { at: mercator(latitude, longitude), inferred, radius: inferred ? row.radius : null, latitude, row };
    }
    rows.push(row);
  }
  return rows;
}

const rows = readRows();
let thumbnails; // all of them, or where to load them from; parsed when the first one is shown
const chunks = new Map(), loading = new Map(); // promises of files of thumbnails, the last used last; what ends them
let found = rows, chosen = null, drawn = { start: 0, end: 0 }, isPrinting = false;

function pair(list, term, value) {
  const group = list.id === "figures" ? list.appendChild(made("div")) : list;
  group.append(made("dt", term), made("dd", value));
}

function tally(values) {
  const counts = new Map();
  for (const value of values) if (value) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

function showFigures() {
  const list = element("figures"), statuses = tally(rows.map(row => row.status));
  pair(list, rows.length === 1 ? "photo" : "photos", number(rows.length));
  for (const status in STATUSES) if (statuses.has(status)) pair(list, STATUSES[status], number(statuses.get(status)));
  for (const [name, plural] of [["landmark", "landmarks"], ["country", "countries"], ["camera", "cameras"]]) {
    const count = tally(rows.map(row => row[name])).size;
    if (count) pair(list, count === 1 ? name : plural, number(count));
  }
  const days = rows.map(row => row.day).filter(Boolean).sort();
  const taken = days[0] === days.at(-1) ? `on ${days[0]}` : `from ${days[0]} to ${days.at(-1)}`;
  element("span").textContent = days.length ? `${photos(rows.length)}, taken ${taken}` : photos(rows.length);
}

function fillSelect(name, label = value => value) {
  const select = element(name), counts = tally(rows.map(row => row[name]));
  select.append(new Option("all", ""));
  for (const [value, count] of [...counts].sort(([one], [other]) => label(one).localeCompare(label(other))))
    select.append(new Option(`${label(value)} (${number(count)})`, value));
  select.disabled = counts.size === 0;
}

// Whether a row passes the filters; the timeline leaves out those of the date.
function passes(row, filters, withDates = true) {
  return SELECTS.every(name => !filters[name] || row[name] === filters[name])
    && (!filters.confidence || (row.confidence ?? 0) >= filters.confidence)
    && (!filters.search || searched(row).includes(filters.search))
    && (!withDates || ((!filters.from || row.day >= filters.from)
      && (!filters.to || (row.day && row.day <= filters.to))))
    && (!chosen || chosen.has(row.number));
}

function searched(row) {
  row.text ??= [row.name, row.folder, row.landmark, row.city, row.place, row.region, row.country].join("\n").toLowerCase();
  return row.text;
}

function readFilters() {
  const names = [...SELECTS, "from", "to"];
  const filters = Object.fromEntries(names.map(name => [name, element(name).value]));
  filters.search = element("search").value.trim().toLowerCase();
  filters.confidence = element("confidence").valueAsNumber / 100;
  return filters;
}

function update() {
  const filters = readFilters();
  const count = [...SELECTS, "from", "to", "confidence"].filter(name => filters[name]).length;
  element("fold").textContent = count ? `Filters (${count})` : "Filters";
  element("least").value = filters.confidence ? `${Math.round(100 * filters.confidence)}%` : "any";
  found = rows.filter(row => passes(row, filters));
  const here = chosen;
  chosen = null; // the map keeps the other places, to choose among
  map.show(rows.filter(row => row.point && passes(row, filters)).map(row => row.point));
  chosen = here;
  const placed = found.reduce((sum, row) => sum + Boolean(row.point), 0);
  element("count").textContent = `${number(found.length)} of ${photos(rows.length)}, ${number(placed)} on the map`;
  element("chosen").hidden = !chosen;
  element("chosen-text").textContent = chosen ? `${photos(chosen.size)} at the chosen place.` : "";
  showTimeline(filters);
  drawCards(0, 0);
  showCards();
  fitLabels();
}

function showTimeline(filters) {
  const perDay = tally(rows.map(row => row.day && passes(row, filters, false) && row.day)), days = [...perDay.keys()].sort();
  const isShort = days.length && dayNumber(days.at(-1)) - dayNumber(days[0]) < MOST_DAYS;
  let length = isShort ? 10 : 7, counts = perPeriod(perDay, length);
  if (monthsBetween(days) > MOST_BARS && !filters.from) {
    length = 4;
    counts = perPeriod(perDay, length);
  }
  const bars = withGaps([...counts.keys()].sort(), length), most = Math.max(1, ...counts.values());
  element("timeline").replaceChildren(...bars.slice(-400).map((period, at) => {
    const count = counts.get(period) ?? 0, button = made("button"), bar = made("i");
    const first = `${period}-01-01`.slice(0, 10), last = lastDay(period);
    bar.style.height = `${count ? Math.max(2, 100 * count / most) : 0}px`;
    button.type = "button";
    button.tabIndex = -1;
    button.title = `${period}: ${photos(count)}`;
    button.setAttribute("aria-label", button.title);
    button.setAttribute("aria-pressed", filters.from === first && filters.to === last);
    button.append(bar, made("span", at ? barLabel(period, bars[at - 1], bars.length) : period));
    button.addEventListener("click", () => choosePeriod(period, first, last));
    return button;
  }));
  const bar = element("timeline").querySelector("[aria-pressed=true]") ?? element("timeline").firstElementChild;
  if (bar) bar.tabIndex = 0;
  const undated = found.reduce((sum, row) => sum + !row.day, 0);
  element("undated").textContent = undated ? `${photos(undated)} without a date` : "";
}

function monthsBetween(days) {
  const month = day => 12 * day.slice(0, 4) + Number(day.slice(5, 7));
  return days.length ? month(days.at(-1)) - month(days[0]) : 0;
}

function perPeriod(perDay, length) {
  const counts = new Map();
  for (const [day, count] of perDay) counts.set(day.slice(0, length), (counts.get(day.slice(0, length)) ?? 0) + count);
  return counts;
}

// Of the first bar the whole period is told, of those after it what is new.
function barLabel(period, before, count) {
  if (period.length === 4) return period;
  if (period.length === 7 && period.slice(0, 4) !== before.slice(0, 4)) return period.slice(0, 4);
  return period.length === 10 ? period.slice(8) : count > 30 ? "" : period.slice(5);
}

// Shows the labels that there is room for, years before months and days.
function fitLabels() {
  const timeline = element("timeline"), labels = [...timeline.querySelectorAll("span")], taken = [];
  for (const label of labels) label.classList.remove("fits");
  const most = timeline.offsetLeft + timeline.scrollWidth;
  const boxes = labels.map(label => ({ label, start: label.offsetLeft, end: label.offsetLeft + label.scrollWidth, length: label.textContent.length }));
  for (const box of boxes.sort((one, other) => other.length - one.length)) {
    if (box.end > most || taken.some(other => box.start < other.end + 4 && other.start < box.end + 4)) continue;
    box.label.classList.add("fits");
    taken.push(box);
  }
}

function dayNumber(day) {
  return Date.parse(`${day}T00:00:00Z`) / 86400000;
}

function lastDay(period) {
  if (period.length === 10) return period;
  const [year, month] = period.split("-").map(Number);
  const days = month ? [31, year % 4 || (year % 100 === 0 && year % 400) ? 28 : 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] : 31;
  return month ? `${period}-${days ?? 31}` : `${period}-12-31`;
}

// Days, months or years without photos between others, where there is room for them.
function withGaps(periods, length) {
  const index = period => length === 10 ? dayNumber(period)
    : Number(period.slice(0, 4)) * (length === 4 ? 1 : 12) + (length === 4 ? 0 : Number(period.slice(5)) - 1);
  if (!periods.length || index(periods.at(-1)) - index(periods[0]) > MOST_BARS) return periods;
  const all = [];
  for (let at = index(periods[0]); at <= index(periods.at(-1)); at++) {
    const year = String(length === 4 ? at : Math.floor(at / 12)).padStart(4, "0");
    all.push(length === 10 ? new Date(86400000 * at).toISOString().slice(0, 10)
      : length === 4 ? year : `${year}-${String(at % 12 + 1).padStart(2, "0")}`);
  }
  return all;
}

// One stop for the Tab key: within the timeline the arrow keys go on.
function walkTimeline(event) {
  const bars = [...event.currentTarget.children], at = bars.indexOf(document.activeElement);
  const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: bars.length - 1 }[event.key];
  if (at < 0 || !(next in bars)) return;
  event.preventDefault();
  bars[at].tabIndex = -1;
  bars[next].tabIndex = 0;
  bars[next].focus();
}

function choosePeriod(period, first, last) {
  const again = element("from").value === first && element("to").value === last;
  element("from").value = again ? "" : first;
  element("to").value = again ? "" : last;
  update();
  [...element("timeline").children].find(button => button.title.startsWith(`${period}:`))?.focus();
}

async function picture(row) {
  thumbnails ??= parsed("thumbnails");
  const { size, folder } = thumbnails;
  const encoded = size ? (await chunk(folder, Math.floor(row.number / size)))[row.number % size] : thumbnails[row.number];
  return encoded ? `data:image/webp;base64,${encoded}` : "";
}

function chunk(folder, at) {
  const found = chunks.get(at) ?? new Promise(end => {
    const script = made("script");
    loading.set(at, end);
    script.addEventListener("load", () => script.remove());
    script.addEventListener("error", () => keepThumbnails(at, []));
    script.src = `${folder}/${at}.js`;
    document.head.append(script);
  });
  chunks.delete(at);
  chunks.set(at, found);
  if (chunks.size > MOST_CHUNKS) chunks.delete(chunks.keys().next().value);
  return found;
}

// What the files of thumbnails call.
function keepThumbnails(at, encoded) {
  loading.get(at)?.(encoded);
  loading.delete(at);
}

function describe(row) {
  return row.landmark || row.place || row.city || row.country || STATUSES[row.status] || row.status;
}

function card(row, at) {
  const item = made("li"), button = made("button", "", "card"), none = made("span", "", "none");
  button.type = "button";
  if (row.point) button.classList.add(row.point.inferred ? "inferred" : "measured");
  picture(row).then(source => {
    if (!source) return;
    const image = made("img");
    image.alt = "";
    image.decoding = "async";
    image.src = source;
    none.replaceWith(image);
  });
  button.append(none, made("span", row.name, "name"), made("span", describe(row), "what"));
  button.addEventListener("click", () => showDetails(row));
  item.setAttribute("aria-posinset", at + 1);
  item.setAttribute("aria-setsize", found.length);
  item.append(button);
  return item;
}

// Shows these of the found photos; the cards of those that were shown before stay.
function drawCards(start, end) {
  const gallery = element("gallery"), cards = (from, to) => found.slice(from, to).map((row, at) => card(row, from + at));
  if (start >= drawn.end || end <= drawn.start) {
    gallery.replaceChildren();
    drawn = { start, end: start };
  }
  for (; drawn.start < start; drawn.start++) gallery.firstElementChild.remove();
  for (; drawn.end > end; drawn.end--) gallery.lastElementChild.remove();
  gallery.prepend(...cards(start, drawn.start));
  gallery.append(...cards(drawn.end, end));
  drawn = { start, end };
}

// Only the cards around what is in sight are in the page: its scrolling is as smooth with many photos as with few.
function showCards() {
  if (isPrinting) return;
  const gallery = element("gallery"), style = getComputedStyle(gallery);
  if (drawn.start === drawn.end) drawCards(0, Math.min(1, found.length)); // to see how high it is
  const columns = style.gridTemplateColumns.split(" ").length, top = gallery.getBoundingClientRect().top;
  const height = (gallery.firstElementChild?.offsetHeight ?? 0) + parseFloat(style.rowGap), all = Math.ceil(found.length / columns);
  const line = pixels => Math.max(0, Math.min(all, ROWS * Math.round((pixels - top) / height / ROWS)));
  const first = Math.min(line(-AROUND), Math.max(0, all - ROWS)), last = Math.max(line(innerHeight + AROUND), Math.min(all, first + ROWS));
  drawCards(first * columns, Math.min(found.length, last * columns));
  gallery.style.paddingTop = `${first * height}px`;
  gallery.style.paddingBottom = `${(all - last) * height}px`;
}

function showForPrint() {
  isPrinting = true;
  drawCards(0, Math.min(found.length, MOST_LISTED));
  element("gallery").style.padding = 0;
}

function showDetails(row) {
  const list = element("details-list"), image = element("details-picture");
  element("details-title").textContent = visible(row.name);
  image.hidden = true;
  picture(row).then(source => {
    if (!source || element("details-title").textContent !== visible(row.name)) return;
    image.src = source;
    image.hidden = false;
  });
  list.replaceChildren();
  const position = row.position && `${row.position.map(degrees => degrees.toFixed(5)).join(", ")} (${row.position_source || "source unknown"}`
    + `${row.radius ? `, within ${number(row.radius)} m` : ""})`;
  const facts = {
    Status: STATUSES[row.status] ?? row.status, Landmark: row.landmark, Confidence: row.confidence !== null && percent(row.confidence),
    Place: [row.place || row.city, row.region, row.country].filter(Boolean).join(", "), Position: position, Method: METHODS[row.method] ?? row.method,
    Taken: row.taken.replace("T", " "), Camera: row.camera, Evidence: row.evidence, Error: row.error, Folder: row.folder,
    Candidates: row.candidates.filter(([, confidence]) => confidence >= SHOWN_FROM).map(([name, confidence]) => `${name} ${percent(confidence)}`).join(", "),
  };
  for (const term in facts) if (facts[term]) pair(list, term, facts[term]);
  element("locate").hidden = !row.point;
  element("locate").onclick = () => {
    element("details").close();
    map.fit([row.point]);
    element("map").focus();
  };
  element("details").showModal();
}

function showList(id, title, status, reason) {
  const wanted = rows.filter(row => row.status === status);
  element(id).hidden = !wanted.length;
  element(id).querySelector("h2").textContent = `${title} (${number(wanted.length)})`;
  const list = element(id).querySelector("ul");
  for (const row of wanted.slice(0, MOST_LISTED)) {
    const button = made("button", row.name);
    button.type = "button";
    button.append(made("span", row[reason]));
    button.addEventListener("click", () => showDetails(row));
    list.appendChild(made("li")).append(button);
  }
  if (wanted.length > MOST_LISTED) list.append(made("li", `and ${number(wanted.length - MOST_LISTED)} more: filter by status`, "rest"));
}

// Towns near the photos and recorded tracks, on the map; and what was found of clocks.
function showAround({ towns, steps, tracks, clocks }) {
  map.surround(towns, tracks, steps);
  element("track-key").hidden = !tracks.length;
  element("clocks").hidden = !clocks.length;
  element("clocks").querySelector("ul").append(...clocks.map(line => made("li", line)));
}

function choosePlace(here) {
  chosen = new Set(here.map(row => row.number));
  update();
  element("gallery-title").focus({ preventScroll: true });
  element("gallery-title").scrollIntoView();
}

const map = new WorldMap(element("map"), parsed("world"), choosePlace);

showFigures();
fillSelect("status", status => STATUSES[status] ?? status);
fillSelect("method", method => METHODS[method] ?? method);
for (const name of ["landmark", "country", "camera"]) fillSelect(name);
showAround(parsed("around"));
showList("failures", "Photos that could not be read", "unreadable", "error");
showList("conflicts", "Photos whose landmark and place conflict", "conflict", "evidence");
element("filters").addEventListener("input", update);
element("filters").addEventListener("submit", event => event.preventDefault());
element("filters").addEventListener("reset", () => { chosen = null; setTimeout(update); });
element("fold").addEventListener("click", () => element("fold").setAttribute("aria-expanded", element("filters").classList.toggle("open")));
element("unchoose").addEventListener("click", () => { chosen = null; update(); element("map").focus(); });
element("timeline").addEventListener("keydown", walkTimeline);
new ResizeObserver(fitLabels).observe(element("timeline"));
addEventListener("scroll", () => requestAnimationFrame(showCards), { passive: true });
addEventListener("beforeprint", showForPrint);
addEventListener("afterprint", () => { isPrinting = false; showCards(); });
new ResizeObserver(showCards).observe(element("gallery"));
update();

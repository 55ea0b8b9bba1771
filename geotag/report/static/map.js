// The map: Web Mercator on a canvas. World coordinates run from 0 to 1, eastwards and southwards.
const MOST_NORTHERN = 85.0511, MOST_ZOOM = 2 ** 22, CELL = 44, EQUATOR = 40075017;
const TOWNS_FROM = 100, BUTTONS = 44; // pixels to a degree; that the buttons take

function mercator(latitude, longitude) {
  const bounded = Math.max(-MOST_NORTHERN, Math.min(MOST_NORTHERN, latitude)) * Math.PI / 180;
  return [longitude / 360 + 0.5, 0.5 - Math.log(Math.tan(Math.PI / 4 + bounded / 2)) / (2 * Math.PI)];
}

const reachOf = count => count > 1 ? 11 + 3 * Math.log10(count) : 7;

// One point, or several that are close together at the map's scale.
class Mark {
  constructor(points, inferred, x, y) {
    Object.assign(this, { parts: [points], count: points.length, inferred, x, y, reach: reachOf(points.length) });
  }

  add(points, inferred, x, y) {
    this.parts.push(points);
    this.count += points.length;
    this.inferred += inferred;
    this.x += (x - this.x) * points.length / this.count;
    this.y += (y - this.y) * points.length / this.count;
    this.reach = reachOf(this.count);
  }

  get points() { return this.parts.flat(); }
}

class WorldMap {
  constructor(canvas, world, choose) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.choose = choose;
    this.points = this.wide = [];
    this.marks = [];
    this.land = this.path(world.land, world.steps, true);
    this.borders = this.path(world.borders, world.steps, false);
    this.names = world.names.map(([name, longitude, latitude, area]) => ({ name, area, at: mercator(latitude, longitude) }))
      .sort((one, other) => other.area - one.area);
    this.towns = [];
    this.tracks = null;
    this.x = 0.5;
    this.y = 0.45;
    this.size = 0; // pixels of the whole world's width; 0 until it is first shown
    this.pointers = new Map();
    this.listen();
    this.addButtons();
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  path(lines, steps, closed) {
    const path = new Path2D();
    for (const line of lines) {
      let longitude = 0, latitude = 0;
      for (let at = 0; at < line.length; at += 2) {
        longitude += line[at];
        latitude += line[at + 1];
        const [x, y] = mercator(latitude / steps, longitude / steps);
        if (at === 0) path.moveTo(x, y); else path.lineTo(x, y);
      }
      if (closed) path.closePath();
    }
    return path;
  }

  addButtons() {
    const group = document.createElement("div"), acts = { in: () => this.zoom(2), out: () => this.zoom(0.5), all: () => this.showAll() };
    group.id = "zoom";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "Zoom");
    for (const [id, sign, label] of [["in", "+", "Zoom in"], ["out", "−", "Zoom out"], ["all", "⤢", "Show all on the map"]]) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", id, textContent: sign, title: label });
      button.setAttribute("aria-label", label);
      button.addEventListener("click", acts[id]);
      group.append(button);
    }
    this.canvas.after(group);
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("wheel", event => {
      event.preventDefault();
      const [x, y] = this.offset(event);
      this.zoom(2 ** (-Math.max(-120, Math.min(120, event.deltaY)) / 160), x, y);
    }, { passive: false });
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, this.offset(event));
      this.moved = this.pointers.size > 1 ? Infinity : 0;
    });
    canvas.addEventListener("pointermove", event => this.drag(event));
    canvas.addEventListener("pointerup", event => {
      if (this.pointers.delete(event.pointerId) && this.moved < 6) this.click(...this.offset(event), 24);
    });
    canvas.addEventListener("pointercancel", event => this.pointers.delete(event.pointerId));
    canvas.addEventListener("dblclick", event => this.zoom(2, ...this.offset(event)));
    canvas.addEventListener("keydown", event => this.key(event));
  }

  offset(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.offset(event);
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    this.pointers.set(event.pointerId, now);
    const share = other ? 0.5 : 1; // of two fingers each moves the map by half
    this.x -= share * (now[0] - before[0]) / this.size;
    this.y -= share * (now[1] - before[1]) / this.size;
    if (other) {
      const apart = place => Math.max(10, Math.hypot(place[0] - other[0], place[1] - other[1]));
      this.zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else this.update();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 80 / this.size;
    const actions = {
      ArrowLeft: () => { this.x -= step; }, ArrowRight: () => { this.x += step; },
      ArrowUp: () => { this.y -= step; }, ArrowDown: () => { this.y += step; },
      "+": () => this.zoom(1.6), "=": () => this.zoom(1.6), "-": () => this.zoom(1 / 1.6), 0: () => this.fit(),
      Enter: () => this.click(this.width / 2, this.height / 2, Infinity),
    };
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
    this.update();
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const size = Math.max(this.least(), Math.min(MOST_ZOOM * 256, this.size * factor));
    const shift = 1 / this.size - 1 / size;
    this.x += (x - this.width / 2) * shift;
    this.y += (y - this.height / 2) * shift;
    this.size = size;
    this.update();
  }

  least() { return Math.max(this.width, this.height, 200); }

  resize() {
    const box = this.canvas.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const scale = window.devicePixelRatio || 1;
    [this.width, this.height, this.scale] = [box.width, box.height, scale];
    this.canvas.width = Math.round(box.width * scale);
    this.canvas.height = Math.round(box.height * scale);
    if (!this.size) this.fit(); else this.zoom(1);
  }

  // Towns [name, longitude, latitude], the most important first; tracks as the world's lines are.
  surround(towns, tracks, steps) {
    this.towns = towns.map(([name, longitude, latitude]) => ({ name, at: mercator(latitude, longitude) }));
    this.tracks = tracks.length ? this.path(tracks, steps, false) : null;
    this.update();
  }

  // Points: {at: world coordinates, inferred, radius in metres or null, latitude, row}.
  show(points) {
    this.points = points;
    this.wide = points.filter(point => point.radius);
    this.level = 0;
    this.update();
  }

  fit(points = this.points) {
    if (!this.width) return;
    this.size = this.least();
    [this.x, this.y] = [0.5, 0.43];
    if (points.length) {
      let [left, top, right, bottom] = [1, 1, 0, 0];
      for (const { at: [x, y] } of points) {
        [left, right] = [Math.min(left, x), Math.max(right, x)];
        [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
      }
      [this.x, this.y] = [(left + right) / 2, (top + bottom) / 2];
      const aside = right > left ? BUTTONS : 0;
      const wanted = Math.min((this.width - 80 - aside) / (right - left || 1e-9), (this.height - 80) / (bottom - top || 1e-9));
      this.size = Math.max(this.least(), Math.min(wanted, 2 ** 14 * 256));
      this.x += aside / 2 / this.size;
    }
    this.update();
  }

  showAll() { this.fit(); }

  update() {
    this.x -= Math.floor(this.x);
    const half = Math.min(0.5, this.height / this.size / 2);
    this.y = Math.max(half, Math.min(1 - half, this.y));
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => { this.pending = false; this.draw(); });
  }

  screen([x, y]) { // the copy of the world that is nearest the centre
    let across = x - this.x;
    across -= Math.round(across);
    return [this.width / 2 + across * this.size, this.height / 2 + (y - this.y) * this.size];
  }

  draw() {
    if (!this.width) return;
    const context = this.context, style = getComputedStyle(this.canvas);
    this.colours = Object.fromEntries(["sea", "land", "border", "measured", "inferred", "on-mark", "faint", "track", "text"].map(
      name => [name, style.getPropertyValue("--" + name).trim()]));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = this.colours.sea;
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    const reach = this.width / this.size / 2;
    // Land that crosses the antimeridian belongs to the copy that it begins in.
    for (let copy = Math.floor(this.x - reach) - 1; copy <= Math.floor(this.x + reach) + 1; copy++) this.drawWorld(copy);
    context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    this.drawNames();
    this.marks = this.clusters();
    this.drawRadii();
    for (const mark of this.marks) this.drawMark(mark);
    this.drawScale();
  }

  // A bar as long as a round number of metres, at the centre of the map.
  drawScale() {
    const latitude = 2 * Math.atan(Math.exp(Math.PI * (1 - 2 * this.y))) - Math.PI / 2;
    const metre = this.size / (EQUATOR * Math.cos(latitude));
    const power = 10 ** Math.floor(Math.log10(100 / metre));
    const metres = [5, 2, 1].find(factor => factor * power * metre <= 100) * power, context = this.context;
    context.globalAlpha = 0.8;
    context.fillStyle = this.colours.land;
    context.fillRect(6, this.height - 32, metres * metre + 12, 26);
    context.globalAlpha = 1;
    context.strokeStyle = context.fillStyle = this.colours.faint;
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(12, this.height - 17);
    context.lineTo(12, this.height - 12);
    context.lineTo(12 + metres * metre, this.height - 12);
    context.lineTo(12 + metres * metre, this.height - 17);
    context.stroke();
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "left";
    context.fillText(metres < 1000 ? `${metres} m` : `${metres / 1000} km`, 18, this.height - 22);
  }

  drawWorld(copy) {
    const context = this.context, size = this.size * this.scale;
    context.setTransform(size, 0, 0, size, this.canvas.width / 2 + (copy - this.x) * size, this.canvas.height / 2 - this.y * size);
    context.fillStyle = this.colours.land;
    context.fill(this.land, "evenodd");
    context.strokeStyle = this.colours.border;
    context.lineWidth = 1 / this.size;
    context.stroke(this.borders);
    if (!this.tracks) return;
    context.strokeStyle = this.colours.track;
    context.lineWidth = 2 / this.size;
    context.stroke(this.tracks);
  }

  drawNames() {
    const context = this.context, taken = [];
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = this.colours.faint;
    for (const { name, area, at } of this.names) {
      if (Math.sqrt(area) * this.size / 360 < 34) break;
      const [x, y] = this.screen(at), half = context.measureText(name).width / 2 + 6;
      if (x < -half || x > this.width + half || y < 0 || y > this.height) continue;
      if (taken.some(other => Math.abs(other.x - x) < other.half + half && Math.abs(other.y - y) < 16)) continue;
      taken.push({ x, y, half });
      context.fillText(name, x, y);
    }
    if (this.size / 360 > TOWNS_FROM) this.drawTowns(taken);
  }

  drawTowns(taken) {
    const context = this.context;
    context.fillStyle = this.colours.text;
    context.textAlign = "left";
    for (const { name, at } of this.towns) {
      const [x, y] = this.screen(at);
      if (x < -100 || x > this.width || y < 0 || y > this.height) continue;
      const half = context.measureText(name).width / 2 + 6, middle = x + half;
      if (taken.some(other => Math.abs(other.x - middle) < other.half + half && Math.abs(other.y - y) < 14)) continue;
      taken.push({ x: middle, y, half });
      context.fillRect(x - 1.5, y - 1.5, 3, 3);
      context.fillText(name, x + 5, y);
    }
  }

  // Points that share a cell of a grid, at this scale. The grid is that of the world: it stays where it is.
  clusters() {
    const level = 2 ** Math.floor(Math.log2(this.size / CELL));
    if (level !== this.level) [this.level, this.cells] = [level, this.grouped(level)];
    const marks = [];
    for (const { at, points, inferred } of this.cells) {
      const [x, y] = this.screen(at);
      if (x < -80 || x > this.width + 80 || y < -80 || y > this.height + 80) continue;
      const near = marks.find(mark => Math.hypot(mark.x - x, mark.y - y) < mark.reach + reachOf(points.length));
      if (near) near.add(points, inferred, x, y); else marks.push(new Mark(points, inferred, x, y));
    }
    return marks.reverse();
  }

  // The cells with their points, the fullest first: it takes in those whose marks would overlap its own.
  grouped(level) {
    const cells = new Map();
    for (const point of this.points) {
      const key = Math.floor(point.at[0] * level) * 2 ** 26 + Math.floor(point.at[1] * level);
      const cell = cells.get(key);
      if (cell) cell.push(point); else cells.set(key, [point]);
    }
    return [...cells.values()].sort((one, other) => other.length - one.length).map(points => {
      const mean = axis => points.reduce((sum, point) => sum + point.at[axis], 0) / points.length;
      return { points, at: [mean(0), mean(1)], inferred: points.reduce((sum, point) => sum + point.inferred, 0) };
    });
  }

  drawRadii() {
    const context = this.context;
    context.strokeStyle = context.fillStyle = this.colours.inferred;
    context.lineWidth = 1.5;
    const drawn = new Set();
    for (const { at, radius, latitude } of this.wide) {
      const reach = radius / (EQUATOR * Math.cos(latitude * Math.PI / 180)) * this.size;
      if (reach < 12 || reach > 20000) continue;
      const [x, y] = this.screen(at), key = `${at} ${radius}`;
      if (Math.abs(x - this.width / 2) > this.width / 2 + reach || Math.abs(y - this.height / 2) > this.height / 2 + reach) continue;
      if (drawn.has(key) || drawn.size > 300) continue;
      drawn.add(key);
      context.beginPath();
      context.arc(x, y, reach, 0, 2 * Math.PI);
      context.globalAlpha = 0.06;
      context.fill();
      context.globalAlpha = 0.7;
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  drawMark({ x, y, count, inferred, reach }) {
    const context = this.context;
    context.lineWidth = 2;
    context.strokeStyle = this.colours["on-mark"];
    context.fillStyle = this.colours[inferred === count ? "inferred" : "measured"];
    context.beginPath();
    if (inferred === count) {
      const corner = reach * 1.25;
      context.moveTo(x, y - corner);
      context.lineTo(x + corner, y);
      context.lineTo(x, y + corner);
      context.lineTo(x - corner, y);
      context.closePath();
    } else context.arc(x, y, reach, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
    if (inferred && inferred < count) { // both: the share of the inferred ones as a ring
      context.strokeStyle = this.colours.inferred;
      context.lineWidth = 5;
      context.beginPath();
      context.arc(x, y, reach + 2, -Math.PI / 2, (inferred / count * 2 - 0.5) * Math.PI);
      context.stroke();
    }
    if (count === 1) return;
    context.fillStyle = this.colours["on-mark"];
    context.font = "600 11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(count < 10000 ? count : `${Math.round(count / 1000)}k`, x, y + 0.5);
  }

  click(x, y, reach) {
    if (this.pending) this.draw(); // what it comes to, not what it showed before
    let nearest = null;
    for (const mark of this.marks) {
      const far = Math.hypot(mark.x - x, mark.y - y);
      if (far <= Math.max(reach, mark.reach) && (!nearest || far < nearest.far)) nearest = { far, mark };
    }
    if (nearest) this.choose(nearest.mark.points.map(point => point.row));
  }
}

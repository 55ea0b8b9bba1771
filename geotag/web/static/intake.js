// Photos from what is dropped, pasted or chosen: {name, key, size, open(limit)} each, in their order. Those of one key are one file.

import { readZip } from "./zip.js";

const ZIP = /\.zip$/i;

// Whatever is in folders and zips beside photos is left out: `skipped` names it, `left` counts what is too many.
export class Intake {
  constructor(extensions, most) {
    this.extensions = new Set(extensions);
    this.most = most;
    this.photos = [];
    this.skipped = [];
    this.left = 0;
    this.problems = [];
  }

  // A drop; the entries are asked for at once, for they are gone after the event.
  async addTransfer(transfer) {
    const entries = [...transfer.items].filter(item => item.kind === "file").map(item => item.webkitGetAsEntry?.() ?? item.getAsFile());
    for (const entry of entries) if (entry) await this.addEntry(entry, false);
  }

  async addFiles(files) {
    for (const file of files) {
      const path = file.webkitRelativePath;
      await this.addFile(file, path || file.name, Boolean(path));
    }
  }

  async addEntry(entry, inFolder) {
    if (entry instanceof File) return this.addFile(entry, entry.name, inFolder);
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject)).catch(() => null);
      if (file) return this.addFile(file, entry.fullPath.replace(/^\//, ""), inFolder);
      this.problems.push(`${entry.name}: cannot be read`);
      return;
    }
    const all = await contents(entry);
    for (const one of all.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }))) await this.addEntry(one, true);
  }

  async addFile(file, name, inFolder) {
    if (ZIP.test(name)) return this.addZip(file, name);
    this.add({ name, key: `${name}/${file.size}/${file.lastModified}`, size: file.size, open: async () => file }, inFolder);
  }

  async addZip(file, name) {
    try {
      for (const entry of await readZip(file)) {
        const path = `${name}/${entry.name}`;
        this.add({ ...entry, name: path, key: `${path}/${entry.size}/${entry.crc}` }, true);
      }
    } catch (error) {
      this.problems.push(`${name}: ${error.message}`);
    }
  }

  add(photo, ifPhoto) {
    if (ifPhoto && !this.isPhoto(photo.name)) this.skipped.push(photo.name);
    else if (this.photos.length >= this.most) this.left++;
    else this.photos.push(photo);
  }

  isPhoto(path) {
    const name = path.split("/").at(-1);
    return !name.startsWith(".") && !path.includes("__MACOSX/") && this.extensions.has(name.split(".").at(-1).toLowerCase());
  }
}

// All that is in a folder: a browser gives a hundred at a time.
async function contents(folder) {
  const reader = folder.createReader(), found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)).catch(() => []);
    if (!some.length) return found;
    found.push(...some);
  }
}

// Has `take` gather what is dropped anywhere on the page, or pasted into it.
export function receive(take) {
  let ours = false; // the page's own pictures and links are no photos to take
  const isOver = yes => document.body.classList.toggle("over", yes);
  document.addEventListener("dragstart", () => { ours = true; });
  // Where the element of a drag went, or the drag was given up, nothing but the next move tells so.
  for (const kind of ["dragend", "pointermove"]) document.addEventListener(kind, () => isOver(ours = false));
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, event => {
      if (ours || !event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      isOver(true);
    });
  }
  document.addEventListener("dragleave", event => { if (!event.relatedTarget) isOver(false); });
  document.addEventListener("drop", event => {
    event.preventDefault();
    isOver(false);
    if (!ours) take(intake => intake.addTransfer(event.dataTransfer));
  });
  document.addEventListener("paste", event => {
    const files = [...event.clipboardData?.files ?? []];
    if (files.length) take(intake => intake.addFiles(files));
  });
}

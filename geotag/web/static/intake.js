// Photos from what is dropped, pasted or chosen: {name, size, open(limit)} each, in their order.

import { readZip } from "./zip.js";

const ZIP = /\.zip$/i;

// Whatever is in folders and zips beside photos is left out: `skipped` counts it, `left` what is too many.
export class Intake {
  constructor(extensions, most) {
    this.extensions = new Set(extensions);
    this.most = most;
    this.photos = [];
    this.skipped = this.left = 0;
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
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)).catch(() => []);
      if (!some.length) return;
      for (const one of some.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }))) await this.addEntry(one, true);
    }
  }

  async addFile(file, name, inFolder) {
    if (ZIP.test(name)) return this.addZip(file, name);
    this.add({ name, size: file.size, open: async () => file }, inFolder);
  }

  async addZip(file, name) {
    try {
      for (const entry of await readZip(file)) this.add({ ...entry, name: `${name}/${entry.name}` }, true);
    } catch (error) {
      this.problems.push(`${name}: ${error.message}`);
    }
  }

  add(photo, ifPhoto) {
    if (ifPhoto && !this.isPhoto(photo.name)) this.skipped++;
    else if (this.photos.length >= this.most) this.left++;
    else this.photos.push(photo);
  }

  isPhoto(path) {
    const name = path.split("/").at(-1);
    return !name.startsWith(".") && !path.includes("__MACOSX/") && this.extensions.has(name.split(".").at(-1).toLowerCase());
  }
}

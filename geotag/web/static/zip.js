// Reads zip files in the browser (PKWARE's APPNOTE, without zip64), one entry at a time.

const END = 0x06054b50, ENTRY = 0x02014b50, LOCAL = 0x04034b50;
const END_SIZE = 22, COMMENT = 65535, DIRECTORY_LIMIT = 64 * 2 ** 20, LARGE = 0xffffffff;
const ENCRYPTED = 1, STORED = 0, DEFLATED = 8;

const view = async blob => new DataView(await blob.arrayBuffer());

// The entries of a zip, folders left out: {name, size, crc, open()}. Nothing is unpacked yet.
export async function readZip(file) {
  const tail = await view(file.slice(Math.max(0, file.size - END_SIZE - COMMENT)));
  let end = tail.byteLength - END_SIZE;
  while (end >= 0 && tail.getUint32(end, true) !== END) end--;
  if (end < 0) throw new Error("not a zip, or cut off");
  const size = tail.getUint32(end + 12, true), start = tail.getUint32(end + 16, true);
  if (size === LARGE || start === LARGE) throw new Error("a zip of more than 4 GiB: unpack it, and choose the folder");
  if (size > DIRECTORY_LIMIT || start + size > file.size) throw new Error("a damaged zip: its list of files is not there");
  return listed(file, await view(file.slice(start, start + size)));
}

function listed(file, directory) {
  const entries = [];
  let at = 0;
  while (at + 46 <= directory.byteLength && directory.getUint32(at, true) === ENTRY) {
    const number = offset => directory.getUint16(at + offset, true), large = offset => directory.getUint32(at + offset, true);
    const length = number(28), next = at + 46 + length + number(30) + number(32);
    if (at + 46 + length > directory.byteLength) break;
    const name = nameOf(new Uint8Array(directory.buffer, at + 46, length));
    const entry = { flags: number(8), method: number(10), packed: large(20), size: large(24), start: large(42) };
    if (!name.endsWith("/")) entries.push({ name, size: entry.size, crc: large(16), open: limit => unpack(file, entry, limit) });
    at = next;
  }
  return entries;
}

function nameOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

async function unpack(file, { flags, method, packed, size, start }, limit) {
  if (flags & ENCRYPTED) throw new Error("locked with a password: unpack the zip first");
  if (method !== STORED && method !== DEFLATED) throw new Error("packed in a way that this page does not read: unpack the zip first");
  const head = await view(file.slice(start, start + 30));
  if (head.byteLength < 30 || head.getUint32(0, true) !== LOCAL) throw new Error("damaged: it is not where the zip says");
  const from = start + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  const data = file.slice(from, from + packed);
  if (method === STORED) return data;
  // What a zip says of a size is not to be trusted: reading ends there.
  return whole(data.stream().pipeThrough(new DecompressionStream("deflate-raw")), Math.min(size, limit));
}

async function whole(stream, limit) {
  const reader = stream.getReader(), parts = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return new Blob(parts);
      size += value.length;
      if (size > limit) throw new RangeError("larger than the zip says");
      parts.push(value);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error instanceof RangeError ? error : new Error("damaged in the zip");
  }
}

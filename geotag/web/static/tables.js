// The tables of rows, in their order: each row comes as a table of its own.

export function saveTable(tables, kind) {
  const csv = () => ["\ufeff", tables[0].slice(0, tables[0].indexOf("\r\n") + 2), ...tables.map(table => table.slice(table.indexOf("\r\n") + 2))];
  const json = () => ['{"type": "FeatureCollection", "features": [\n', tables.map(table => JSON.stringify(JSON.parse(table).features[0])).join(",\n"), "\n]}\n"];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(kind === "csv" ? csv() : json(), { type: kind === "csv" ? "text/csv" : "application/geo+json" }));
  link.download = `geotag.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

"use strict";

// What of a photo speaks for a landmark, in words and two pictures, for all served pages.

function tellExplanation({ landmark, marked, parts, alone, without }) {
  return `The picture was looked at with different parts hidden. With ${marked} of its ${parts} parts alone the network is ${percent(alone)} sure of ${landmark}; with all the others, ${percent(without)}.`;
}

// `keep` gives the address of a blob.
function drawExplanation({ landmark, marked, strongest, pictures }, keep) {
  const scale = strongest < 0.01 ? "Hiding one part changes next to nothing." : `The strongest colour is ${(100 * strongest).toFixed(strongest < 0.1 ? 1 : 0)} points of confidence.`;
  const parts = marked === 1 ? "The part that suffices" : `The ${marked} parts that suffice`;
  const told = [
    [`The parts of the photo that suffice for ${landmark}`, [["strong", `${parts}.`], " The others are dark."]],
    [`The photo in grey, coloured by what each part says of ${landmark}`, [["strong", "What each part says."], " ",
      ["span", "Blue", "for"], " speaks for it, ", ["span", "orange", "against"], ` against it. ${scale}`]],
  ];
  return told.map(([description, words], at) => {
    const figure = document.createElement("figure"), image = document.createElement("img"), caption = document.createElement("figcaption");
    image.src = keep(new Blob([Uint8Array.from(atob(pictures[at]), one => one.charCodeAt(0))], { type: "image/jpeg" }));
    image.alt = description;
    caption.append(...words.map(part => {
      if (typeof part === "string") return part;
      const node = document.createElement(part[0]);
      [node.textContent, node.className] = [part[1], part[2] ?? ""];
      return node;
    }));
    figure.append(image, caption);
    return figure;
  });
}

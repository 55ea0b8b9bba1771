"use strict";

// What does not print, or turns around what follows it, as an escape: a name must show as it is.
const HIDDEN = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const visible = text => String(text).replace(HIDDEN, one => `\\u${one.codePointAt(0).toString(16).padStart(4, "0")}`);

// What is not certain is never told as 100 %.
const percent = share => `${(100 * (share < 1 ? Math.min(share, 0.999) : share)).toFixed(1)}\u00a0%`;

// A new element with text that is never taken for HTML.
function made(tag, text = "", name = "") {
  const node = document.createElement(tag);
  node.textContent = visible(text);
  node.className = name;
  return node;
}

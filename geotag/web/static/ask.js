// Asks for the token of a page; who was here before with a wrong one is told so.

if (new URLSearchParams(location.search).has("token")) document.getElementById("wrong").hidden = false;
document.getElementById("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  location.assign(`/?${new URLSearchParams({ token: document.getElementById("token").value.trim() })}`);
});

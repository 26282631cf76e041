// Drag and drop, and answers in place, so that the file stays chosen when the day is changed. The form works without.
"use strict";
const form = document.querySelector("form.check");
const file = document.getElementById("file");
const answer = document.getElementById("answer");

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    form.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) form.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  form.classList.remove("over");
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  if (event.dataTransfer.files.length > 1) return tell("One file at a time, please.");
  file.files = event.dataTransfer.files;
  form.requestSubmit();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  answer.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(form.action, { method: "POST", body: new FormData(form) });
    const text = await response.text();
    if (!(response.headers.get("content-type") || "").startsWith("text/html")) return tell(JSON.parse(text).error);
    const page = new DOMParser().parseFromString(text, "text/html");
    answer.replaceChildren(...page.getElementById("answer").childNodes);
    document.querySelector("footer").replaceWith(page.querySelector("footer")); // it says as known on which day
    document.getElementById("found")?.focus();
  } catch {
    tell("The server could not be reached, or refused the file: is it too large?");
  } finally {
    button.disabled = false;
    answer.removeAttribute("aria-busy");
  }
});

function tell(reason) {
  const line = document.createElement("p");
  line.className = "error";
  line.setAttribute("role", "alert");
  line.textContent = reason;
  answer.replaceChildren(line);
}

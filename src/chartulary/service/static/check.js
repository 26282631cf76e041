// Drag and drop, and answers in place, so that the file stays chosen when the day is changed. The form works without.
"use strict";
const form = document.querySelector("form.check");
const file = form.querySelector("input[type=file]");

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
  if (!file.multiple && event.dataTransfer.files.length > 1) return refuse("One file at a time, please.");
  file.files = event.dataTransfer.files;
  if (!file.multiple) form.requestSubmit();
});

form.addEventListener("submit", async (event) => {
  if (event.submitter?.name) return; // an answer that is a file to keep
  event.preventDefault();
  const unreachable = "The server could not be reached, or refused the file: is it too large?";
  if (await send(form, new FormData(form), unreachable)) document.getElementById("found")?.focus();
});

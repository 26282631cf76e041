// An answer of the server, put into the page that asked.
"use strict";
const answer = document.getElementById("answer");

// Sends a form. Gives the page that came, once its answer stands here; nothing where it was refused.
async function send(form, body, unreachable) {
  const button = form.querySelector("button");
  button.disabled = true;
  answer.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(form.action, { method: "POST", body });
    const text = await response.text();
    if (!(response.headers.get("content-type") || "").startsWith("text/html")) return refuse(JSON.parse(text).error);
    const page = new DOMParser().parseFromString(text, "text/html");
    answer.replaceChildren(...page.getElementById("answer").childNodes);
    document.querySelector("footer").replaceWith(page.querySelector("footer")); // it says as known on which day
    return page;
  } catch {
    return refuse(unreachable);
  } finally {
    button.disabled = false;
    answer.removeAttribute("aria-busy");
  }
}

function refuse(reason) {
  const line = document.createElement("p");
  line.className = "error";
  line.setAttribute("role", "alert");
  line.textContent = reason;
  answer.replaceChildren(line);
  return null;
}

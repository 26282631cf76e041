// The editor: colours behind the text, completion, prefixes that are missing, answers in place. The form works without.
"use strict";
const form = document.querySelector("form.sparql");
const box = form.querySelector(".editor");
const paint = box.querySelector("pre");
const area = document.getElementById("query");
const told = document.getElementById("told");
const library = document.querySelector("details.library");

// --- Colours ---------------------------------------------------------------------------------------------------------

const KEYWORDS =
  "SELECT DISTINCT REDUCED CONSTRUCT DESCRIBE ASK FROM NAMED WHERE OPTIONAL UNION FILTER BIND VALUES GRAPH MINUS " +
  "EXISTS NOT IN AS ORDER GROUP BY HAVING LIMIT OFFSET ASC DESC PREFIX BASE COUNT SUM MIN MAX AVG SAMPLE " +
  "GROUP_CONCAT SEPARATOR STR LANG LANGMATCHES DATATYPE BOUND IRI STRDT STRLANG CONCAT SUBSTR STRLEN REPLACE UCASE " +
  "LCASE CONTAINS STRSTARTS STRENDS STRBEFORE STRAFTER YEAR MONTH DAY NOW REGEX IF COALESCE ISIRI ISLITERAL UNDEF";
const IS_KEYWORD = new Set(KEYWORDS.split(" "));
const TOKEN = new RegExp(
  [
    /(?<comment>#[^\n]*)/,
    /(?<iri><[^<>"{}|^`\\\s]*>)/,
    /(?<string>"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?)/,
    /(?<variable>[?$]\w+)/,
    /(?<name>(?:[A-Za-z][\w-]*)?:(?:[\w:%-]|\\.|\.(?=[\w:%-]))*)/,
    /(?<word>[A-Za-z_]\w*)/,
    /(?<number>\d+(?:\.\d+)?)/,
    /(?<other>[\s\S])/,
  ]
    .map((part) => part.source)
    .join("|"),
  "g",
);

function* tokens(text) {
  for (const match of text.matchAll(TOKEN)) {
    const [kind, token] = Object.entries(match.groups).find(([, value]) => value !== undefined);
    yield { kind: kind === "word" && IS_KEYWORD.has(token.toUpperCase()) ? "keyword" : kind, token, at: match.index };
  }
}

let fault = null; // where the query is at fault

function show() {
  const whole = document.createDocumentFragment();
  for (const { kind, token, at } of tokens(area.value)) {
    const wrong = fault !== null && at <= fault && fault < at + token.length;
    if ((kind === "other" || kind === "word") && !wrong) {
      whole.append(token);
      continue;
    }
    const span = document.createElement("span");
    span.className = wrong ? `${kind} wrong` : kind;
    span.textContent = token;
    whole.append(span);
  }
  whole.append("\n "); // the last line has a height even when it is empty
  paint.replaceChildren(whole);
}

// --- What can be completed -------------------------------------------------------------------------------------------

let prefixes = {};
const known = new Map();

async function load(address) {
  if (!known.has(address)) {
    known.set(
      address,
      fetch(address)
        .then((response) => (response.ok ? response.json() : {}))
        .catch(() => ({})),
    );
  }
  return known.get(address);
}

async function suggestions(asked) {
  const before = area.value.slice(0, area.selectionStart);
  for (const { kind, token, at } of tokens(area.value)) {
    if (at < before.length && before.length < at + token.length && ["comment", "iri", "string"].includes(kind)) return null;
    if (kind === "comment" && at + token.length === before.length) return null;
  }
  const name = /(?<![\w?$<:-])([A-Za-z][\w-]*):([\w.-]*)$/.exec(before);
  if (name && prefixes[name[1]]) {
    const { terms = [] } = await load(`/explore/terms?prefix=${encodeURIComponent(name[1])}`);
    const part = name[2].toLowerCase();
    const first = terms.filter((term) => term.name.toLowerCase().startsWith(part));
    const rest = terms.filter((term) => !first.includes(term) && `${term.name} ${term.label}`.toLowerCase().includes(part));
    return [...first, ...rest].slice(0, 60).map((term) => ({
      text: `${name[1]}:${term.name}`,
      label: term.label,
      from: name.index,
      prefix: name[1],
    }));
  }
  if (!asked) return null;
  const word = /[?$]?[\w-]*$/.exec(before);
  const part = word[0].toLowerCase();
  const variables = new Set([...tokens(area.value)].filter((each) => each.kind === "variable").map((each) => each.token));
  if (/^[?$]/.test(part)) variables.delete(word[0]);
  const offered = [
    ...[...variables].map((text) => ({ text, label: "variable" })),
    ...Object.keys(prefixes).map((text) => ({ text: `${text}:`, label: prefixes[text], goesOn: true })),
    ...KEYWORDS.split(" ").map((text) => ({ text, label: "" })),
  ];
  return offered
    .filter((each) => each.text.toLowerCase().startsWith(part))
    .map((each) => ({ ...each, from: word.index }));
}

// --- The list of suggestions -----------------------------------------------------------------------------------------

const list = document.createElement("ul");
list.id = "suggestions";
list.setAttribute("role", "listbox");
list.setAttribute("aria-label", "Suggestions");
list.hidden = true;
list.tabIndex = 0; // it scrolls
list.addEventListener("mousedown", (event) => event.preventDefault()); // the text keeps the focus
box.append(list);
area.setAttribute("aria-autocomplete", "list");
area.setAttribute("aria-controls", list.id);
let offered = [];
let chosen = -1;
let asking = 0;

async function suggest(asked) {
  const turn = ++asking;
  const found = await suggestions(asked);
  if (turn !== asking) return; // something was typed meanwhile
  const place = area.selectionStart;
  if (!found || !found.length || (found.length === 1 && found[0].text === area.value.slice(found[0].from, place))) {
    close();
    if (asked) told.textContent = "No suggestions";
    return;
  }
  offered = found;
  list.replaceChildren(
    ...found.map((each, index) => {
      const item = document.createElement("li");
      item.id = `suggestion-${index}`;
      item.setAttribute("role", "option");
      const text = document.createElement("span");
      text.className = "code";
      text.textContent = each.text;
      const label = document.createElement("span");
      label.className = "faint";
      label.textContent = each.label;
      item.append(text, " ", label);
      item.addEventListener("click", () => {
        choose(index);
        take();
      });
      return item;
    }),
  );
  list.hidden = false;
  move(found[0].from);
  choose(0);
  told.textContent = `${found.length} suggestion${found.length > 1 ? "s" : ""}; arrow keys choose, Enter takes one`;
}

function close() {
  asking++;
  list.hidden = true;
  offered = [];
  chosen = -1;
  area.removeAttribute("aria-activedescendant");
}

function choose(index) {
  list.children[chosen]?.removeAttribute("aria-selected");
  chosen = (index + offered.length) % offered.length;
  const item = list.children[chosen];
  item.setAttribute("aria-selected", "true");
  area.setAttribute("aria-activedescendant", item.id);
  if (item.offsetTop < list.scrollTop) list.scrollTop = item.offsetTop;
  const below = item.offsetTop + item.offsetHeight - list.clientHeight;
  if (below > list.scrollTop) list.scrollTop = below;
}

function move(at) {
  const walk = document.createTreeWalker(paint, NodeFilter.SHOW_TEXT);
  let left = at;
  let node = walk.nextNode();
  while (node && left > node.length) {
    left -= node.length;
    node = walk.nextNode();
  }
  const range = document.createRange();
  range.setStart(node, left);
  const mark = document.createElement("span");
  mark.textContent = "\u200b"; // nothing to see, but it has a place, as an empty range has not
  range.insertNode(mark);
  const place = mark.getBoundingClientRect();
  const around = mark.parentNode;
  mark.remove();
  around.normalize();
  const inside = box.getBoundingClientRect();
  const most = box.clientWidth - list.offsetWidth - 4;
  list.style.left = `${Math.max(0, Math.min(place.left - inside.left, most))}px`;
  const below = place.bottom + list.offsetHeight + 4 < innerHeight || place.top < list.offsetHeight;
  list.style.top = `${(below ? place.bottom + 2 : place.top - list.offsetHeight - 2) - inside.top}px`;
}

function take() {
  const { text, from, prefix, goesOn } = offered[chosen];
  close();
  replace(from, area.selectionStart, text);
  if (prefix) declare([prefix]);
  if (goesOn) suggest(true);
}

// --- Changes to the text, each of which can be undone ----------------------------------------------------------------

function replace(from, to, text) {
  area.focus();
  area.setSelectionRange(from, to);
  if (!document.execCommand("insertText", false, text)) area.setRangeText(text, from, to, "end");
  changed();
}

function declare(names) {
  const all = [...tokens(area.value)].filter((each) => each.kind !== "comment" && each.token.trim());
  const there = new Set();
  for (const [index, each] of all.entries()) {
    if (each.kind === "keyword" && each.token.toUpperCase() === "PREFIX") there.add(all[index + 1]?.token.slice(0, -1));
  }
  const missing = names.filter((name) => prefixes[name] && !there.has(name));
  if (!missing.length) return;
  const lines = missing.map((name) => `PREFIX ${name}: <${prefixes[name]}>\n`).join("");
  const at = all.length ? all[0].at : 0;
  const { selectionStart, selectionEnd } = area;
  replace(at, at, lines);
  const by = (place) => (place >= at ? place + lines.length : place);
  area.setSelectionRange(by(selectionStart), by(selectionEnd));
  told.textContent = `Added PREFIX ${missing.join(", ")}`;
}

function changed() {
  fault = null;
  area.removeAttribute("aria-invalid");
  show();
}

area.addEventListener("input", (event) => {
  changed();
  if (event.inputType === "insertText" || event.inputType?.startsWith("delete")) suggest(false);
  else close();
});
area.addEventListener("blur", close);
area.addEventListener("click", close);
area.addEventListener("keydown", (event) => {
  const plain = !event.altKey && !event.metaKey && !event.shiftKey && !event.isComposing;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    form.requestSubmit();
  } else if (event.key === " " && event.ctrlKey) {
    event.preventDefault();
    suggest(true);
  } else if (!list.hidden && plain && !event.ctrlKey) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) choose(Math.abs(step) === 1 ? chosen + step : Math.max(0, Math.min(chosen + step, offered.length - 1)));
    else if (event.key === "Enter" || event.key === "Tab") take();
    else if (event.key === "Escape") close();
    else {
      if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) close();
      return;
    }
    event.preventDefault();
  }
});

// --- Running ---------------------------------------------------------------------------------------------------------

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  close();
  declare([...new Set([...tokens(area.value)].filter((each) => each.kind === "name").map((each) => each.token.split(":")[0]))]);
  told.textContent = "Running";
  const page = await send(form, new URLSearchParams(new FormData(form)), "The server could not be reached");
  if (!page) return;
  history.replaceState(null, "", page.getElementById("answer").dataset.link);
  document.title = page.title;
  library.open = false;
  told.textContent = answer.querySelector("h2")?.textContent.trim() || "";
  answer.querySelector("h2")?.scrollIntoView({ block: "nearest" });
  mark();
});

function mark() {
  const reason = document.getElementById("fault");
  area.setAttribute("aria-describedby", reason ? "keys fault" : "keys");
  if (!reason) return;
  area.setAttribute("aria-invalid", "true");
  if (!reason.dataset.line) return;
  const lines = area.value.split("\n");
  const before = lines.slice(0, reason.dataset.line - 1);
  const line = [...(lines[before.length] || "")].slice(0, reason.dataset.column - 1).join("");
  fault = before.reduce((sum, each) => sum + each.length + 1, 0) + line.length;
  while (fault < area.value.length && /\s/.test(area.value[fault])) fault++;
  show();
  area.focus();
  area.setSelectionRange(fault, fault);
  paint.querySelector(".wrong")?.scrollIntoView({ block: "nearest" });
}

if (matchMedia("(max-width: 40rem)").matches) library.open = false;
box.classList.add("live");
show();
mark();
load("/explore/terms").then((all) => (prefixes = all.prefixes || {}));

// Moves the day on the timeline without loading the whole page. Everything here also works as plain links.
"use strict";

(() => {
  const DAY = 86400000;
  const toNumber = (text) => Math.round(Date.parse(text + "T00:00:00Z") / DAY);
  const toText = (number) => new Date(number * DAY).toISOString().slice(0, 10);
  const inWords = (text) =>
    new Date(text + "T00:00:00Z").toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
  let asked = 0;

  // The answer for another address takes the place of the one that is shown.
  async function load(address, focus) {
    const mine = ++asked;
    let page;
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html" } });
      if (!answer.ok) throw new Error(String(answer.status));
      page = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch {
      location.assign(address);
      return;
    }
    if (mine !== asked) return;
    const next = page.getElementById("answer");
    const top = document.querySelector(".chart")?.getBoundingClientRect().top ?? 0;
    document.getElementById("answer").replaceWith(next);
    document.querySelector("details.question summary span").textContent = page.querySelector("details.question summary span").textContent;
    document.title = page.title;
    document.getElementById("said").textContent = next.querySelector(".headline h1, p").textContent;
    const url = new URL(address, location.href);
    for (const field of document.querySelectorAll("form.asked [name=dos]")) field.value = url.searchParams.get("dos");
    history.replaceState(null, "", url.pathname + url.search);
    enhance();
    // What is above may be longer or shorter now: the chart stays where it was on the screen.
    const chart = document.querySelector(".chart");
    if (chart) scrollBy(0, chart.getBoundingClientRect().top - top);
    if (focus) document.querySelector(".mover input")?.focus({ preventScroll: true });
  }

  function at(day) {
    const url = new URL(location.href);
    url.searchParams.set("dos", day);
    url.hash = "";
    return url.href;
  }

  function enhance() {
    const chart = document.querySelector("#answer .chart[data-day]");
    if (!chart) return;
    const first = toNumber(chart.dataset.first), last = toNumber(chart.dataset.last), day = toNumber(chart.dataset.day);
    const lines = chart.querySelectorAll("line.day");
    const mover = document.createElement("div");
    mover.className = "mover";
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: first, max: last, step: 1, value: day });
    slider.setAttribute("aria-label", "Date of service");
    const said = document.createElement("output");
    mover.append(slider, said);
    chart.prepend(mover);

    const show = () => {
      const text = inWords(toText(Number(slider.value)));
      slider.setAttribute("aria-valuetext", text);
      said.textContent = text;
      const place = ((Number(slider.value) - first) / (last - first)) * 100 + "%";
      for (const line of lines) {
        line.setAttribute("x1", place);
        line.setAttribute("x2", place);
      }
    };
    let waiting;
    slider.addEventListener("input", show);
    slider.addEventListener("change", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => load(at(toText(Number(slider.value))), true), 250);
    });
    slider.setAttribute("aria-valuetext", inWords(toText(day)));
    said.textContent = inWords(toText(day));
    for (const track of chart.querySelectorAll("svg.track, svg.scale")) {
      track.addEventListener("click", (event) => {
        const box = track.getBoundingClientRect();
        const part = (event.clientX - box.left) / box.width;
        slider.value = Math.round(first + part * (last - first));
        show();
        load(at(toText(Number(slider.value))), false);
      });
    }
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-move]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    const place = [...document.querySelectorAll("a[data-move]")].indexOf(link);
    load(link.href.split("#")[0], false).then(() => {
      const links = document.querySelectorAll("a[data-move]");
      links[Math.min(place, links.length - 1)]?.focus({ preventScroll: true });
    });
  });

  // A link to a card inside a closed part opens that part.
  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folded = target && target.closest("details:not([open])");
    if (folded) {
      folded.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", reveal);
  enhance();
  reveal();
})();

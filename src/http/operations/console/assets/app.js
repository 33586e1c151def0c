// What the pages gain by a script: local times, keys, the live list, the tree's search, copying.
// Pages work without it. It writes text only by textContent; the one piece of markup that it puts
// into a page are rows that the server made and escaped.
"use strict";

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// ---- times: local, with UTC in the title
const two = (number) => String(number).padStart(2, "0");
const day = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;

function localTimes(within) {
  for (const time of $$("time[datetime]", within)) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) time.textContent = `${day(at)} ${clock(at)}`;
  }
  for (const tick of $$("text[data-at]", within)) {
    const at = new Date(tick.dataset.at);
    if (!Number.isNaN(at.getTime())) tick.lastChild.nodeValue = clock(at);
  }
}
localTimes(document);
const zone = $("[data-zone]");
if (zone) {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone || "local";
  zone.textContent = `times are of ${name}; what is typed into a filter is UTC`;
}

// ---- a phone has no room for a filter that is not used
const filter = $("[data-filter-box]");
if (filter && !("used" in filter.dataset) && matchMedia("(max-width: 46rem)").matches) filter.open = false;

// ---- keys
const opens = () => $$("[data-list] [data-open]").filter((link) => link.offsetParent !== null);

function move(step) {
  const links = opens();
  if (!links.length) return;
  const row = document.activeElement && document.activeElement.closest("[data-list] tr");
  const at = links.findIndex((link) => row && row.contains(link));
  const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + step, 0), links.length - 1);
  links[next].focus();
  links[next].closest("tr").scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (press) => {
  if (press.ctrlKey || press.metaKey || press.altKey || press.defaultPrevented) return;
  const within = document.activeElement;
  if (within && /^(INPUT|SELECT|TEXTAREA)$/.test(within.tagName)) {
    if (press.key === "Escape") within.blur();
    return;
  }
  const act = {
    "/": () => {
      if (filter) filter.open = true;
      ($("[data-filter] input") || $("#find"))?.focus();
    },
    s: () => $("#find")?.focus(),
    j: () => move(1),
    k: () => move(-1),
    p: () => $("[data-live-pause]")?.click(),
  }[press.key];
  if (act) {
    press.preventDefault();
    act();
  }
});

// ---- the live list: the stream says that something came, the server makes the rows
function live() {
  const box = $("[data-live]");
  const list = $("[data-list][data-query]");
  if (!box || !list) return;
  const rows = $("[data-rows]", list);
  const text = $("[data-live-text]", box);
  const pause = $("[data-live-pause]", box);
  const empty = $("[data-empty]");
  const EVERY = 1000; // Rows are asked for once a second at most,
  const SLOW = 4000; // and as often as this where there is no stream, or while something is pending.
  const AGAIN = 15_000; // A stream that was refused, as when its places are taken, is tried again.
  let stream = null, timer = null, retry = null, due = Infinity, asking = false, paused = false;
  box.hidden = false;

  const say = (words, on) => {
    if (text.textContent !== words) text.textContent = words;
    box.classList.toggle("is-on", on);
  };
  const streams = () => stream && stream.readyState === EventSource.OPEN;
  const stopped = () => paused || document.hidden;

  function at(moment) {
    if (stopped() || moment >= due) return;
    due = moment;
    clearTimeout(timer);
    timer = setTimeout(ask, Math.max(0, due - Date.now()));
  }

  async function ask() {
    due = Infinity;
    if (stopped() || asking) return;
    asking = true;
    const began = Date.now();
    try {
      const answer = await fetch(`/console/events/rows?${list.dataset.query}`, { cache: "no-store", redirect: "error" });
      if (!answer.ok) throw answer;
      const made = await answer.text();
      if (!paused) show(made);
      say(streams() ? "live" : "looking every 4 s", true);
    } catch (why) {
      const words = { 401: "logged out; load the page again", 429: "asked too often; trying again", 503: "busy; trying again" };
      say(words[why.status] || "not reachable; trying again", false);
    }
    asking = false;
    const pending = $("[data-progress=pending]", rows);
    // What takes the server long is asked for less often.
    const rest = Math.max(EVERY, 4 * (Date.now() - began));
    if (!streams() || pending) at(Date.now() + Math.max(SLOW, rest));
    earliest = Date.now() + rest;
  }
  let earliest = 0;

  function show(made) {
    const fresh = document.createElement("tbody");
    fresh.innerHTML = made;
    const known = new Set($$("tr", rows).map((row) => row.dataset.key));
    const focused = document.activeElement && rows.contains(document.activeElement) ? document.activeElement.closest("tr") : null;
    const wanted = focused && [focused.dataset.key, document.activeElement.getAttribute("href")];
    localTimes(fresh);
    for (const row of $$("tr", fresh)) if (known.size && !known.has(row.dataset.key)) row.classList.add("is-new");
    rows.replaceChildren(...fresh.children);
    if (empty) empty.hidden = rows.children.length > 0;
    if (wanted) {
      const row = $$("tr", rows).find((row) => row.dataset.key === wanted[0]);
      if (row) ($$("a", row).find((link) => link.getAttribute("href") === wanted[1]) || $("a", row)).focus({ preventScroll: true });
    }
  }

  function open() {
    close();
    const query = new URLSearchParams(list.dataset.query);
    // The stream begins now; an age would move on.
    query.delete("since");
    query.delete("until");
    query.set("after", list.dataset.top);
    query.set("only", "ids");
    stream = new EventSource(`/v1/stream?${query}`);
    stream.addEventListener("open", () => { say("live", true); at(Date.now()); });
    stream.addEventListener("arrived", (told) => {
      if (told.lastEventId) list.dataset.top = told.lastEventId;
      at(Math.max(Date.now() + 50, earliest));
    });
    stream.addEventListener("error", () => {
      at(Date.now() + SLOW);
      // After an answer that is no stream the browser gives up; we do not.
      if (!streams() && stream.readyState === EventSource.CLOSED) retry = setTimeout(open, AGAIN);
    });
    at(Date.now() + SLOW);
  }
  function close() {
    if (stream) stream.close();
    stream = null;
    clearTimeout(timer);
    clearTimeout(retry);
    due = Infinity;
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    if (paused) { close(); say("paused", false); } else { open(); at(Date.now()); }
  });
  // A page that nobody sees holds no connection.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (!paused) { open(); at(Date.now()); }
  });
  if (!document.hidden) open();
}
live();

// ---- the body's tree
function tree() {
  const body = $("[data-tree]");
  const tools = $("[data-tree-tools]");
  if (!body || !tools) return;
  tools.hidden = false;
  const search = $("[data-tree-search]", tools);
  const count = $("[data-tree-count]", tools);
  let hits = [], here = -1;
  const openTo = (element) => {
    for (let up = element.closest("details"); up; up = up.parentElement.closest("details")) up.open = true;
  };
  const go = (step) => {
    if (!hits.length) return;
    hits[here]?.classList.remove("is-here");
    here = (here + step + hits.length) % hits.length;
    hits[here].classList.add("is-here");
    openTo(hits[here]);
    hits[here].scrollIntoView({ block: "nearest" });
    count.textContent = `${here + 1} of ${hits.length}`;
  };
  search.addEventListener("input", () => {
    for (const hit of hits) hit.classList.remove("is-hit", "is-here");
    const wanted = search.value.trim().toLowerCase();
    hits = wanted ? $$(".key, .string, .number, .word", body).filter((part) => part.textContent.toLowerCase().includes(wanted)) : [];
    for (const hit of hits) hit.classList.add("is-hit");
    here = -1;
    count.textContent = wanted ? (hits.length ? "" : "nothing found") : "";
    go(1);
  });
  search.addEventListener("keydown", (press) => {
    if (press.key !== "Enter") return;
    press.preventDefault();
    go(press.shiftKey ? -1 : 1);
  });
  const all = (open) => { for (const one of $$("details", body)) one.open = open; };
  $("[data-tree-open]", tools).addEventListener("click", () => all(true));
  $("[data-tree-close]", tools).addEventListener("click", () => { all(false); const first = $("details", body); if (first) first.open = true; });
  const toMark = () => { const mark = location.hash.startsWith("#mark-") && document.getElementById(location.hash.slice(1)); if (mark) { openTo(mark); mark.scrollIntoView({ block: "center" }); } };
  addEventListener("hashchange", toMark);
  toMark();
}
tree();

// ---- copying
for (const button of $$("[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // Without a secure context there is no clipboard: the text is selected instead.
      getSelection().selectAllChildren(source);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

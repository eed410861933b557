// Keeps an open page true: news of the record brings its newest state, silence is said, and old pages act on nothing.
"use strict";
(() => {
  const root = document.documentElement, STALE_MS = 10_000, SETTLE_MS = 400, AGAIN_MS = 2000;
  const swapper = document.currentScript.dataset.then;
  const pulse = document.getElementById("pulse"), banner = document.getElementById("stale");
  const since = Date.now();
  let stream = null, heard = 0, head = root.dataset.head, timer = 0, over = "", behind = 0;

  function busy() {
    const at = document.activeElement;
    const typing = at && at.closest("main form") && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName);
    return typing || [...document.querySelectorAll("main form")].some((form) =>
      [...form.elements].some((each) => "defaultValue" in each && each.type !== "hidden" && each.value !== each.defaultValue));
  }

  function refresh() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (busy()) refresh();
      else if (window.htmx) document.body.dispatchEvent(new Event("anew:news"));
      else location.reload();
    }, SETTLE_MS);
  }

  // The server did not give the newest state: the page is as old as that, and asks again.
  function missed(event) {
    if (event.detail.xhr && event.detail.xhr.status === 401) over = "You are signed out: sign in again to see what is new.";
    behind = behind || Date.now();
    clearTimeout(timer);
    if (!over) timer = setTimeout(refresh, AGAIN_MS);
    show();
  }

  function listen() {
    if (stream || over || document.hidden) return;
    stream = new EventSource(`/events?after=${head}`);
    stream.addEventListener("beat", () => { heard = Date.now(); show(); });
    stream.addEventListener("fact", (event) => { heard = Date.now(); head = event.lastEventId; refresh(); show(); });
    stream.addEventListener("error", () => {
      if (stream && stream.readyState === EventSource.CLOSED) {
        stream = null;
        fetch("/loop.json", { method: "HEAD" }).catch(() => null).then((answer) => {
          if (answer && answer.status === 401) over = "You are signed out: sign in again to see what is new.";
          else setTimeout(listen, AGAIN_MS);
          show();
        });
      }
    });
  }

  // What brings a page up to date is fetched once the page is seen, and news are heard from then on. Not before "load":
  // htmx waits for a document that is parsed, and in one that is parsed but not complete it would wait for ever.
  function fetchSwapper() {
    const script = document.createElement("script");
    script.addEventListener("load", listen);
    script.addEventListener("error", () => { script.remove(); listen(); setTimeout(fetchSwapper, AGAIN_MS); });
    script.src = swapper;
    document.head.append(script);
  }

  function begin() {
    if (document.hidden) fetchSwapper();
    else requestAnimationFrame(() => setTimeout(fetchSwapper, 0));
  }

  function leave() {
    if (stream) stream.close();
    stream = null;
  }

  function say(text) {
    if (banner.textContent !== text) banner.textContent = text;
  }

  function show() {
    const silence = Date.now() - (heard || since), silent = Boolean(over) || silence > STALE_MS;
    const age = behind ? Math.max(silence, Date.now() - behind) : silence, stale = silent || Boolean(behind);
    if (!stale && !heard) return;
    const word = stale ? "stale" : "live";
    if (root.dataset.state !== word) root.dataset.state = word;
    const said = stale ? `data is ${Math.round(age / 1000)} s old` : "live";
    if (pulse.textContent !== said) pulse.textContent = said;
    banner.hidden = !stale;
    const told = Math.round(age / 5000) * 5;
    if (silent) say(over || `The server does not answer: data is about ${told} s old, and nothing can be ordered from here.`);
    else if (stale) say(`This page cannot be brought up to date: data is about ${told} s old. What has changed since refuses an order from here.`);
    for (const button of document.querySelectorAll("button[data-acts]")) button.disabled = silent || button.hasAttribute("data-sent");
  }

  // A keyboard stays where it was, and what was opened stays open, when the page is brought up to date.
  const reached = () => [...document.querySelectorAll("main a, main button, main summary, main [tabindex]")];
  let kept = null;

  function keep() {
    const all = reached(), at = all.indexOf(document.activeElement);
    const open = [...document.querySelectorAll("main details[open]")].map((each) => each.id);
    kept = { at, said: at < 0 ? "" : all[at].textContent, open };
  }

  function restore() {
    if (!kept) return;
    for (const id of kept.open) if (id) document.getElementById(id)?.setAttribute("open", "");
    const same = kept.at < 0 ? null : reached()[kept.at];
    if (same && same.textContent === kept.said) same.focus({ preventScroll: true });
    kept = null;
  }

  document.addEventListener("submit", (event) => {
    for (const button of event.target.querySelectorAll("button[data-acts]")) {
      button.setAttribute("data-sent", "");
      setTimeout(() => { button.disabled = true; }, 0);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    const button = [...document.querySelectorAll("button[data-key]")].find((each) => each.dataset.key === event.key);
    if (button && !button.disabled) button.click();
  });
  document.addEventListener("visibilitychange", () => document.hidden ? leave() : listen());
  document.addEventListener("htmx:beforeSwap", keep);
  document.addEventListener("htmx:afterSwap", () => { behind = 0; restore(); show(); });
  document.addEventListener("htmx:responseError", missed);
  document.addEventListener("htmx:sendError", missed);
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  setInterval(show, 1000);
  window.addEventListener("load", begin);
})();

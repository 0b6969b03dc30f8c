/* What pages do by themselves: light and dark, copying, dialogs, and telling what changed. */
"use strict";
(() => {
  const root = document.documentElement;
  const news = () => document.getElementById("news");
  const say = (text) => { if (text && news().textContent !== text) news().textContent = text; };

  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;

  const switchTheme = () => {
    const theme = dark() ? "light" : "dark";
    root.dataset.theme = theme;
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `bronco_theme=${theme}; path=/dashboard; max-age=31536000; samesite=lax${secure}`;
    say(`The page is ${theme} now`);
  };

  const copy = async (button) => {
    try {
      await navigator.clipboard.writeText(button.dataset.copies);
      say("Copied");
    } catch {
      say("The browser does not let this page copy");
    }
  };

  const opener = (event) => {
    const link = event.target.closest("[data-opens]");
    const dialog = link && document.getElementById(link.dataset.opens);
    if (!dialog) return false;
    event.preventDefault();
    if (dialog.open) dialog.close();
    dialog.showModal();
    return true;
  };

  document.addEventListener("click", (event) => {
    if (opener(event)) return;
    const button = event.target.closest("button");
    if (!button) return;
    if (button.id === "theme") switchTheme();
    else if (button.dataset.copies) copy(button);
    else if ("closes" in button.dataset) button.closest("dialog").close();
  });

  // What looks like a button is worked like one.
  document.addEventListener("keydown", (event) => {
    if (event.key === " " && event.target.matches("a[role=button]")) {
      event.preventDefault();
      event.target.click();
    }
  });

  // A form is sent once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent);
  });

  // A part that is loaded anew keeps what was opened in it, and tells what is new.
  let opened = new Set();
  document.addEventListener("htmx:beforeSwap", () => {
    opened = new Set([...document.querySelectorAll("details[open][id]")].map((each) => each.id));
  });
  document.addEventListener("htmx:afterSwap", () => {
    opened.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
    say(document.getElementById("part")?.dataset.news);
  });

  // What happens on the desk, while somebody looks: a browser has six connections to a place, and a
  // page in the background must not keep one.
  const where = document.body.dataset.events;
  let source = null;
  const tell = (kind) => htmx.trigger(document.body, `live:${kind}`);
  const listen = () => {
    if (!where || document.hidden) { source?.close(); source = null; return; }
    if (source) return;
    source = new EventSource(where);
    for (const kind of ["order", "control"]) source.addEventListener(kind, () => tell(kind));
    // What happened between the making of the page, or the loss of the line, and this moment.
    for (const kind of ["open", "reset"]) {
      source.addEventListener(kind, () => { tell("order"); tell("control"); });
    }
  };
  document.addEventListener("visibilitychange", () => {
    listen();
    if (!document.hidden) { tell("order"); tell("control"); }
  });
  addEventListener("pagehide", () => { source?.close(); source = null; });
  addEventListener("pageshow", listen);

  document.querySelector("[data-focus]")?.focus();
  // Opened by the server, for who came without scripts: with them it is a modal one.
  document.querySelectorAll("dialog[open]").forEach((dialog) => { dialog.close(); dialog.showModal(); });
})();

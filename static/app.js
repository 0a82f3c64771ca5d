/* What pages gain from JavaScript: copy buttons, the choice of theme, times in the reader's zone, dependent fields.
   Everything works without it. Behaviour hangs on data- attributes; there is no inline script (CSP). */
"use strict";

(() => {
  const root = document.documentElement;
  root.classList.add("js");

  /* Theme: a cookie, so that the server writes data-theme and no page flashes. */
  const themeNow = () => root.dataset.theme || "system";

  const showTheme = (scope) => {
    scope.querySelectorAll("[data-theme-choice]").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === themeNow()));
    });
  };

  const chooseTheme = (choice) => {
    const year = choice === "system" ? 0 : 31536000;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `theme=${choice}; Path=/; Max-Age=${year}; SameSite=Lax${secure}`;
    if (choice === "system") delete root.dataset.theme;
    else root.dataset.theme = choice;
    showTheme(document);
  };

  /* Copy: the text of the element named by data-copy-from, or the button's own data-copy. */
  const textToCopy = (button) => {
    const source = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
    return source ? source.textContent : button.dataset.copy;
  };

  const copyByHand = (text) => {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "unseen";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };

  const copy = async (button) => {
    const text = textToCopy(button);
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      done = copyByHand(text);
    }
    button.focus();
    say(button, done ? "Copied" : "Select the text and copy it");
  };

  const say = (button, words) => {
    const word = button.querySelector("[data-copy-word]");
    word.textContent = words;
    setTimeout(() => { word.textContent = "Copy"; }, 2000);
  };

  /* Times: exact local time on hover, and relative words that go on being true. */
  const UNITS = [["second", 60], ["minute", 60], ["hour", 24]];

  const relativeWords = (date) => {
    let value = (date.getTime() - Date.now()) / 1000;
    if (Math.abs(value) < 5) return "just now"; // as the server says
    const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
    for (const [unit, size] of UNITS) {
      if (Math.abs(value) < size) return words.format(Math.trunc(value), unit);
      value /= size;
    }
    return null;
  };

  const showTimes = (scope) => {
    scope.querySelectorAll("time[data-relative]").forEach((element) => {
      const date = new Date(element.dateTime);
      const local = date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
      const exact = `${element.dateTime.replace("T", " ").replace("Z", "")} UTC`;
      element.title = `${local} (${exact})`;
      element.textContent =
        relativeWords(date) || date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    });
  };

  /* On a time line: the second, the hour, or the day, in the reader's zone. */
  const MOMENTS = {
    day: { day: "numeric", month: "short" },
    hour: { hour: "2-digit", minute: "2-digit" },
    second: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
  };
  const showMoments = (scope) => {
    scope.querySelectorAll("time[data-moment]").forEach((element) => {
      const style = MOMENTS[element.dataset.moment] || MOMENTS.hour;
      const date = new Date(element.dateTime);
      element.dataset.utc ??= element.title;
      element.title = date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) + ` (${element.dataset.utc})`;
      element.textContent = date.toLocaleString("en-GB", style);
    });
  };

  /* A field that belongs to another's choice is shown with it: data-shown-with="name=value", on and off for a box. */
  const holds = (form, rule) => {
    const [name, value] = rule.split("=");
    const inputs = [...form.querySelectorAll(`[name="${name}"]`)];
    const checked = inputs.filter((input) => input.checked || input.matches("select"));
    if (value === "off") return checked.length === 0;
    if (value === "on") return checked.length > 0;
    return checked.some((input) => input.value === value);
  };

  const showDependents = (scope) => {
    scope.querySelectorAll("[data-shown-with]").forEach((element) => {
      element.hidden = !holds(element.closest("form"), element.dataset.shownWith);
    });
  };

  /* What scrolls sideways is reached by keyboard; what does not is no stop on the way. */
  const showScrollers = (scope) => {
    scope.querySelectorAll(".table, .diff, .code pre").forEach((element) => {
      if (element.scrollWidth > element.clientWidth || element.scrollHeight > element.clientHeight) element.tabIndex = 0;
      else element.removeAttribute("tabindex");
    });
  };

  /* Where tabs have no room the present one is in sight. */
  const showPresentTab = () => {
    document.querySelectorAll(".tabs [aria-current]").forEach((tab) => {
      const list = tab.closest("ul");
      list.scrollLeft += Math.max(0, tab.getBoundingClientRect().right - list.getBoundingClientRect().right);
    });
  };

  /* Traits are filtered by name as one types; without JavaScript the server does it. */
  const filterTraits = (input) => {
    const wanted = input.value.trim().toLowerCase();
    const seen = {};
    document.querySelectorAll("[data-trait]").forEach((row) => {
      row.hidden = !row.dataset.trait.toLowerCase().includes(wanted);
      seen[row.dataset.of] = (seen[row.dataset.of] || 0) + (row.hidden ? 0 : 1);
    });
    document.querySelectorAll("[data-filter-count]").forEach((count) => {
      count.textContent = String(seen[count.dataset.filterCount] || 0);
    });
  };

  /* What changes how much room a page takes. */
  const settle = (scope) => {
    showTimes(scope);
    showMoments(scope);
    showDependents(scope);
  };

  /* A page that arrives in parts is drawn in parts: each is settled before it is seen, so that nothing jumps. */
  const arriving = new MutationObserver(() => {
    settle(document);
    arriving.takeRecords(); // of what was just settled
  });
  arriving.observe(root, { childList: true, subtree: true });

  const enhance = (scope) => {
    showScrollers(scope);
    settle(scope);
    showTheme(scope);
    const summary = scope.querySelector("[data-error-summary]");
    if (summary) summary.focus();
  };

  /* A fragment that is polled keeps open what the reader opened. */
  let opened = [];
  const rememberOpened = () => {
    opened = [...document.querySelectorAll("details[id][open]")].map((details) => details.id);
  };
  const openAgain = () => {
    opened.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
  };

  const actions = [
    ["[data-copy], [data-copy-from]", copy],
    ["[data-theme-choice]", (button) => chooseTheme(button.dataset.themeChoice)],
  ];

  document.addEventListener("click", (event) => {
    for (const [selector, action] of actions) {
      const target = event.target.closest(selector);
      if (target) action(target, event);
    }
  });
  document.addEventListener("change", () => showDependents(document));
  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-filters-traits]")) filterTraits(event.target);
  });
  /* Entering a filter would look the profile up once more. */
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("[data-filters-traits]")) event.preventDefault();
  });
  document.addEventListener("DOMContentLoaded", () => {
    arriving.disconnect();
    enhance(document);
    showPresentTab();
  });
  window.addEventListener("resize", showPresentTab);
  document.addEventListener("htmx:beforeSwap", rememberOpened);
  document.addEventListener("htmx:afterSwap", (event) => {
    openAgain();
    enhance(event.target.isConnected ? event.target : document);
  });
  addEventListener("resize", () => showScrollers(document));
  document.addEventListener("toggle", () => showScrollers(document), true);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) showTimes(document); });
  setInterval(() => { if (!document.hidden) showTimes(document); }, 15000);
})();

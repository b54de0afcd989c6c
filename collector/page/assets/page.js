/* What the browser does by itself: the address holds the choices, heads of the table sort, buttons open receipts,
   sections below load when they come into view. Dash calls the functions of `facetally` (collector/page/app.py). */
(function () {
  "use strict";
  const LISTS = ["site", "labels"];
  const receipts = "[data-receipt]", sorts = "[data-sort]";
  let restored = false;

  /* The language of the address, or of the list, is kept in a cookie: the server draws the page's own texts. */
  function keepLanguage(code) {
    if (/^[a-z]{2,3}$/.test(code || "")) document.cookie = "lang=" + code + ";SameSite=Strict";
    return document.cookie.split("; ").includes("lang=" + code);
  }
  keepLanguage(new URLSearchParams(location.search).get("lang"));

  /* Values of the controls, in the order of the parameters in `defaults`, as the address says. */
  function valuesOf(search, defaults) {
    const given = new URLSearchParams(search);
    return Object.entries(defaults).map(([name, value]) => {
      if (!given.has(name) || name === "lang") return value;
      const text = given.get(name);
      return LISTS.includes(name) ? text.split(",").filter(Boolean) : text;
    });
  }

  function addressOf(values, defaults) {
    const kept = [];
    Object.entries(defaults).forEach(([name, value], at) => {
      const text = [].concat(values[at] ?? "").join(",");
      if (text !== [].concat(value ?? "").join(","))
        kept.push(name + "=" + encodeURIComponent(text).replace(/%2C/g, ",").replace(/%2F/g, "/"));
    });
    return kept.length ? "?" + kept.join("&") : location.pathname;
  }

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    facetally: {
      restore(defaults) {
        restored = true;
        document.documentElement.lang = defaults.lang;
        return valuesOf(location.search, defaults);
      },
      remember(...args) {
        const defaults = args.pop();
        const lang = args[Object.keys(defaults).indexOf("lang")];
        if (restored && lang !== defaults.lang && keepLanguage(lang)) location.reload();
        if (restored) history.replaceState(null, "", addressOf(args, defaults));
        document.body.classList.toggle("receipt-open", Boolean(args[args.length - 1]));
        return location.search;
      },
      nameSites(sites, words) {
        if (!sites || !sites.length) return words.all;
        return sites.length > 2 ? words.many.replace("#", sites.length) : sites.join(", ");
      },
    },
  });

  document.addEventListener("click", (event) => {
    const set = window.dash_clientside.set_props;
    const receipt = event.target.closest(receipts), sort = event.target.closest(sorts);
    if (receipt) {
      set("receipt", { data: receipt.dataset.receipt });
      if (receipt.dataset.receipt) document.getElementById("receipt-panel").scrollIntoView({ block: "nearest" });
    }
    if (sort) set("sort", { data: sort.dataset.sort });
  });

  const showBelow = () => window.dash_clientside.set_props("in-view", { data: true });
  window.addEventListener("beforeprint", showBelow);
  const waiting = setInterval(() => {
    const below = document.getElementById("below");
    if (!below || !document.querySelector("#ranking table")) return; // the first screen comes first
    clearInterval(waiting);
    const watch = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      showBelow();
    });
    watch.observe(below);
  }, 50);
})();

"use strict";
(() => {
  const cases = [...document.querySelectorAll("details.case")];
  const text = document.getElementById("text");
  const boxes = [...document.querySelectorAll("input[data-verdict]")];
  const count = document.getElementById("count");

  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdicts = new Set(boxes.filter((box) => box.checked).map((box) => box.dataset.verdict));
    let shown = 0;
    for (const one of cases) {
      const fits = verdicts.has(one.dataset.verdict) && words.every((word) => one.dataset.text.includes(word));
      one.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    count.textContent = `${shown} of ${cases.length} shown`;
  };
  text.addEventListener("input", filter);
  boxes.forEach((box) => box.addEventListener("change", filter));
  filter();

  // What a case has seen is packed beside it, and unpacked when the case is opened.
  const messages = new WeakMap();
  const unpack = async (one) => {
    const packed = one.querySelector("script");
    const diagram = one.querySelector(".diagram");
    if (!packed || messages.has(one)) return;
    messages.set(one, []);
    try {
      const bytes = Uint8Array.from(atob(packed.textContent), (char) => char.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
      const { svg, details } = JSON.parse(await new Response(stream).text());
      diagram.innerHTML = svg;
      messages.set(one, details);
    } catch (error) {
      diagram.textContent = `The timeline cannot be shown: ${error.message}. It takes Chrome 80, Firefox 113 or Safari 16.4.`;
    }
  };
  // This event does not bubble.
  document.addEventListener("toggle", (event) => {
    if (event.target.open && event.target.matches("details.case")) unpack(event.target);
  }, true);

  // A link to a case opens it, also when the filter hides it.
  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.matches("details.case")) {
      target.hidden = false;
      target.open = true;
      target.scrollIntoView();
      target.querySelector("summary").focus({ preventScroll: true });
    }
  };
  addEventListener("hashchange", open);
  document.addEventListener("click", (event) => {
    // The same link again is no change.
    const link = event.target instanceof Element && event.target.closest("a[href^='#case-']");
    if (link && link.getAttribute("href") === location.hash) open();
  });
  open();
  // A few that need a look are open at once.
  const wrong = cases.filter((one) => ["FAIL", "ERROR", "XPASS"].includes(one.dataset.verdict));
  if (!location.hash && wrong.length <= 3) wrong.forEach((one) => { one.open = true; });

  const show = (row) => {
    const one = row.closest("details.case");
    one.querySelectorAll(".row.chosen").forEach((other) => {
      other.classList.remove("chosen");
      other.removeAttribute("aria-pressed");
    });
    row.classList.add("chosen");
    row.setAttribute("aria-pressed", "true");
    const message = one.querySelector(".message");
    message.textContent = messages.get(one)[Number(row.dataset.row)];
    message.hidden = false;
    message.scrollTop = 0;
    message.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("click", (event) => {
    const row = event.target instanceof Element && event.target.closest(".row");
    if (row) show(row);
  });
  document.addEventListener("keydown", (event) => {
    const target = event.target instanceof Element ? event.target : document.body;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && !target.matches("input")) {
      event.preventDefault();
      text.focus();
      text.select();
      return;
    }
    if (event.key === "Escape" && target === text) {
      text.value = "";
      filter();
      return;
    }
    const row = target.closest(".row");
    if (!row) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      show(row);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const next = event.key === "ArrowDown" ? row.nextElementSibling : row.previousElementSibling;
      if (next && next.matches(".row")) {
        event.preventDefault();
        next.focus();
        show(next);
      }
    }
  });
})();

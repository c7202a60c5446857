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

  // A link to a case opens it, also when the filter hides it.
  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.matches("details.case")) {
      target.hidden = false;
      target.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", open);
  open();

  // What stands behind a row of a diagram is read from the JSON beside it when it is asked for.
  const messages = new WeakMap();
  const show = (row) => {
    const body = row.closest(".body");
    if (!messages.has(body)) {
      messages.set(body, JSON.parse(body.querySelector("script").textContent));
    }
    body.querySelectorAll(".row.chosen").forEach((other) => other.classList.remove("chosen"));
    row.classList.add("chosen");
    const message = body.querySelector(".message");
    message.textContent = messages.get(body)[Number(row.dataset.row)];
    message.hidden = false;
  };
  document.addEventListener("click", (event) => {
    const row = event.target instanceof Element && event.target.closest(".row");
    if (row) show(row);
  });
  document.addEventListener("keydown", (event) => {
    const row = event.target instanceof Element && event.target.closest(".row");
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

// Sorting and filtering of the board. The pages hold everything already; without this file they are plain tables.
"use strict";
(() => {
  const opposite = { ascending: "descending", descending: "ascending" };

  const valueOf = (row, place, numeric) => {
    const text = row.cells[place].dataset.value;
    return text === "" ? null : numeric ? Number(text) : text;
  };

  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));

  // Rows without a value come last in either direction; equal rows keep their order.
  const sort = (table, header, order) => {
    const place = header.cellIndex;
    const numeric = header.classList.contains("number");
    const sign = order === "descending" ? -1 : 1;
    const body = table.tBodies[0];
    const keyed = Array.from(body.rows, (row) => [valueOf(row, place, numeric), row]);
    keyed.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)));
    body.append(...keyed.map(([, row]) => row));
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", order);
  };

  const headerOf = (table, key) => Array.from(table.tHead.rows[0].cells).find((cell) => cell.dataset.key === key);

  const makeSortable = (table, changed) => {
    for (const header of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = header.textContent;
      button.setAttribute("aria-label", `Sort by ${header.textContent.trim()}`);
      button.title = header.title;
      header.replaceChildren(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const now = header.getAttribute("aria-sort");
        const order = now in opposite ? opposite[now] : header.dataset.first;
        sort(table, header, order);
        changed({ sort: header.dataset.key, order });
      });
    }
  };

  // The state of a page's filter lives behind the # of its address, so that a view can be linked to.
  const readState = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

  const writeState = (state) => {
    const kept = Object.entries(state).filter(([key, value]) => value !== (key === "columns" ? "scores" : ""));
    history.replaceState(null, "", kept.length ? `#${new URLSearchParams(kept)}` : location.pathname + location.search);
  };

  const filter = (table, form, state) => {
    const words = (state.find || "").toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.dataset.scheme.toLowerCase();
      row.hidden = (state.task && row.dataset.task !== state.task) || !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    table.dataset.columns = state.columns || "scores";
    form.querySelector("output").textContent = `${shown} of ${table.tBodies[0].rows.length} rows`;
  };

  const connect = (form) => {
    const table = document.getElementById(form.dataset.table);
    const original = Array.from(table.tBodies[0].rows);
    let state = {};

    const change = (changes) => {
      state = { ...state, ...changes };
      writeState(state);
      filter(table, form, state);
    };

    const unsort = () => {
      table.tBodies[0].append(...original);
      for (const header of table.tHead.rows[0].cells) header.setAttribute("aria-sort", "none");
    };

    const restore = () => {
      // A link to a place in the page is no state.
      if (location.hash && !location.hash.includes("=")) return;
      state = readState();
      unsort();
      for (const field of ["find", "task", "columns"]) {
        const control = form.elements[field];
        if (!control) continue;
        control.value = state[field] || (field === "columns" ? "scores" : "");
        // A name that the list does not have selects nothing; the list then says so instead of the rows vanishing.
        if (control.selectedIndex === -1) control.selectedIndex = 0;
        state[field] = control.value;
      }
      const header = state.sort && headerOf(table, state.sort);
      if (header) sort(table, header, state.order in opposite ? state.order : header.dataset.first);
      filter(table, form, state);
    };

    makeSortable(table, change);
    form.addEventListener("input", (event) => change({ [event.target.name]: event.target.value }));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => {
      unsort();
      state = {};
      writeState(state);
      filter(table, form, state);
    });
    window.addEventListener("hashchange", restore);
    form.hidden = false;
    filter(table, form, state);
    restore();
    return table;
  };

  // A table that does not fit says so; its frame scrolls.
  const watch = (hint) => {
    const frame = hint.nextElementSibling;
    const look = () => { hint.hidden = frame.scrollWidth <= frame.clientWidth + 1; };
    const observer = new ResizeObserver(look);
    observer.observe(frame);
    observer.observe(frame.firstElementChild);
    look();
  };
  document.querySelectorAll(".hint").forEach(watch);

  const connected = new Set(Array.from(document.querySelectorAll("form.controls"), connect));
  for (const table of document.querySelectorAll("table.sortable")) {
    if (!connected.has(table)) makeSortable(table, () => {});
  }
})();

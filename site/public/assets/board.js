// Sorting and filtering on top of complete tables; the state lies in the address after "#".
"use strict";

(() => {
  const tables = [...document.querySelectorAll("table[data-sortable]")];
  const groups = [...document.querySelectorAll("[data-group]")];
  const filters = [...document.querySelectorAll("[data-filter]")];
  const rowsOf = (part) => [...part.querySelectorAll("tbody tr")];
  const started = new Map(
    tables.map((table) => {
      const heads = [...table.tHead.rows[0].cells];
      return [table, { rows: rowsOf(table), sorts: heads.map((head) => head.ariaSort) }];
    }),
  );

  // "#kind=classes&q=random&table-full=2.descending": filters, and per table column and direction.
  // An address that points at a heading has no "=" and is left alone.
  const readState = () =>
    location.hash.includes("=") ? new URLSearchParams(location.hash.slice(1)) : null;

  const writeState = (state) => {
    const text = state.toString();
    history.replaceState(null, "", location.href.split("#")[0] + (text ? `#${text}` : "#"));
  };

  const change = (name, value) => {
    const state = readState() ?? new URLSearchParams();
    if (value) state.set(name, value);
    else state.delete(name);
    writeState(state);
    show(state);
  };

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const given = cell.dataset.v;
    if (given === undefined) return cell.textContent.trim();
    return given === "" ? null : Number(given);
  };

  const compare = (one, other) =>
    typeof one === "number" ? one - other : one.localeCompare(other, "en", { numeric: true });

  const sort = (table, wanted) => {
    const { rows, sorts } = started.get(table);
    const [column, direction] = (wanted ?? "").split(".");
    const heads = [...table.tHead.rows[0].cells];
    const valid = heads[column]?.querySelector("button") && /^(a|de)scending$/.test(direction);
    heads.forEach((head, at) => {
      if (!head.hasAttribute("aria-sort")) return;
      head.setAttribute("aria-sort", valid ? (at === +column ? direction : "none") : sorts[at]);
    });
    const sign = direction === "descending" ? -1 : 1;
    const ordered = valid
      ? rows
          .map((row) => [valueOf(row, column), row])
          .sort(([one], [other]) => {
            // What is undefined comes last in both directions.
            if (one === null || other === null) return (one === null) - (other === null);
            return sign * compare(one, other);
          })
          .map(([, row]) => row)
      : rows;
    table.tBodies[0].append(...ordered);
  };

  const filter = (state) => {
    const kind = state.get("kind") ?? "";
    const words = (state.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    let total = 0;
    for (const group of groups) {
      let here = 0;
      for (const row of rowsOf(group)) {
        const [subset, verdict] = [row.cells[0], row.cells[row.cells.length - 1]];
        const text = `${subset.textContent} ${verdict.textContent}`.toLowerCase();
        const fits = (!kind || row.dataset.kind === kind) && words.every((w) => text.includes(w));
        row.hidden = !fits;
        here += fits;
        total += 1;
      }
      group.hidden = here === 0;
      shown += here;
    }
    const count = document.querySelector("[data-count]");
    if (count) count.textContent = `${shown} of ${total} subsets`;
  };

  const show = (state) => {
    for (const table of tables) sort(table, state.get(table.id));
    for (const field of filters) {
      const value = state.get(field.dataset.filter) ?? "";
      if (field.value !== value) field.value = value;
    }
    filter(state);
  };

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    let done = true;
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // No clipboard here: leave the text selected, so that one key press copies it.
      getSelection().selectAllChildren(source);
      done = false;
    }
    button.textContent = done ? "Copied" : "Selected";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  };

  document.documentElement.classList.add("js");
  for (const part of document.querySelectorAll("[data-tools], [data-copy]")) part.hidden = false;
  for (const table of tables) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = head.querySelector("button");
      if (!button) return;
      button.disabled = false;
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const first = button.dataset.first;
        const other = first === "ascending" ? "descending" : "ascending";
        change(table.id, `${column}.${now === first ? other : first}`);
      });
    });
  }
  for (const field of filters) {
    field.addEventListener("input", () => change(field.dataset.filter, field.value));
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(button));
  }
  const follow = () => {
    const state = readState();
    if (state || !location.hash) show(state ?? new URLSearchParams());
  };
  addEventListener("hashchange", follow);
  follow();
})();

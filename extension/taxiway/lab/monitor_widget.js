// Shows the fragments that Python made, and tells Python which column and window are chosen.
function render({ model, el }) {
  el.classList.add("tw");
  const parts = new Map();
  const show = () => {
    const fragments = model.get("fragments");
    for (const [name, html] of Object.entries(fragments)) {
      if (!parts.has(name)) {
        const part = document.createElement("div");
        el.append(part);
        parts.set(name, { part, html: "" });
      }
      const kept = parts.get(name);
      if (kept.html === html) continue;
      const focused = kept.part.contains(document.activeElement) && document.activeElement.name;
      kept.part.innerHTML = html;
      kept.html = html;
      if (focused) kept.part.querySelector(`[name="${focused}"]`)?.focus();
    }
    mark();
  };
  const selected = (name) => el.querySelector(`select[name="${name}"]`)?.value;
  const mark = () => {
    for (const cell of el.querySelectorAll(".chosen")) cell.classList.remove("chosen");
    el.querySelector(`[data-key="${selected("column")}:${selected("window")}"]`)?.classList.add("chosen");
  };
  const choose = (column, window) => {
    model.set("choice", [column, window]);
    model.save_changes();
  };
  const clicked = (event) => {
    const key = event.target.closest?.("[data-key]")?.dataset.key;
    if (key) choose(...key.split(":").map(Number));
  };
  const changed = (event) => {
    if (event.target.tagName === "SELECT") choose(Number(selected("column")), Number(selected("window")));
  };
  const id = Math.random().toString(36);
  el.addEventListener("click", clicked);
  el.addEventListener("change", changed);
  model.on("change:fragments", show);
  show();
  model.send({ shown: id });
  return () => {
    el.removeEventListener("click", clicked);
    el.removeEventListener("change", changed);
    model.off("change:fragments", show);
    model.send({ gone: id });
  };
}

export default { render };

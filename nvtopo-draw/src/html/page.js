// The page of one machine. All it knows is in #data; nothing is fetched, and nothing is computed that the library decides.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const svg = document.querySelector("#picture svg");
  const make = (tag, words, attributes = {}) => {
    const node = document.createElement(tag);
    if (words !== undefined) node.textContent = words;
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };
  const names = (gpus) => gpus.map((gpu) => data.devices[gpu].name).join(" ");
  const picked = new Set(data.chosen);

  // Pairs: rows of runs, each a count and a place in the list of kinds.
  const rows = data.pairs.map((runs) => {
    const row = [];
    for (let at = 0; at < runs.length; at += 2) for (let n = 0; n < runs[at]; n++) row.push(runs[at + 1]);
    return row;
  });
  const pair = (a, b) => data.kinds[a < rows.length ? rows[a][b] : rows[b][a]];
  const said = (a, b) => {
    const kind = pair(a, b);
    return `${data.devices[a].name} – ${data.devices[b].name}: ${kind.word} (${kind.meaning})${kind.rate ? `, ${kind.rate}` : ""}`;
  };

  // The answer to the GPUs that are chosen.
  const table = (heads, lines) => {
    const whole = make("table");
    const head = whole.createTHead().insertRow();
    heads.forEach((words) => head.append(make("th", words, { scope: "col" })));
    const body = whole.createTBody();
    lines.forEach((line) => {
      const row = body.insertRow();
      line.forEach((words) => row.append(make("td", words)));
    });
    return whole;
  };
  const ringOf = (answer) => {
    const rings = answer.rings.map(([order, rate]) => `${names(order)} (${rate})`);
    return `${answer.rate} together: ${rings.join("; ")}`;
  };
  const detail = (answer, gpus) => {
    const parts = [];
    if (answer.error) return [make("p", answer.error, { class: "bad" })];
    if (answer.rate) parts.push(make("p", `Ring: ${ringOf(answer)}.`));
    else if (gpus.length > 1) parts.push(make("p", "Ring: its bandwidth is unknown."));
    const lines = answer.gpus.map(([gpu, cpus, memory, nic]) => [
      data.devices[gpu].name, cpus || "unknown", memory || "unknown", nic || "none", ]);
    parts.push(table(["GPU", "CPUs", "memory node", "NIC"], lines));
    return parts;
  };
  const rest = (answer, gpus) => {
    const others = data.gpus.filter((gpu) => !picked.has(gpu));
    if (others.length === 0) return make("p", "No GPU would be left.");
    const best = answer && answer.left ? answer.left.map(([set, rate]) =>
      `the best ${set.length}: ${names(set)}${rate ? ` (${rate})` : ""}`) : [];
    return make("p", `Left: ${names(others)}${best.length ? `; ${best.join("; ")}` : ""}.`);
  };
  const facts = (gpus) => {
    const lines = gpus.map((gpu) => {
      const own = data.devices[gpu];
      return [own.name, own.cpus || "unknown", own.node || "unknown", own.nics || "none"];
    });
    const parts = [];
    let worst = null;
    gpus.forEach((a, at) => gpus.slice(at + 1).forEach((b) => {
      const value = pair(a, b).value;
      if (worst === null || value < worst[2]) worst = [a, b, value];
    }));
    if (worst) parts.push(make("p", `Worst pair: ${said(worst[0], worst[1])}.`));
    parts.push(table(["GPU", "CPUs near it", "NUMA node", "nearest NICs"], lines));
    parts.push(make("p", `The ring and the shares of CPUs of this set are not in this page. They are told by: nvtopo place --only ${gpus.map((gpu) => data.devices[gpu].index).join(",")} --gpus ${gpus.length}`, { class: "hint" }));
    return parts;
  };
  const answerTo = (gpus) => data.sets[gpus.join(",")] || data.best.find((best) => best.key === gpus.join(","));
  const answer = () => {
    const gpus = data.gpus.filter((gpu) => picked.has(gpu));
    const place = $("answer");
    place.replaceChildren();
    if (gpus.length === 0) {
      place.append(make("p", data.gpus.length ? `No GPU is chosen. ${data.scope}` : "This machine has no GPU."));
      return;
    }
    place.append(make("p", `Chosen: ${names(gpus)}`));
    const own = answerTo(gpus);
    if (own && own.best) place.append(make("p", `No ${gpus.length} are better by nvtopo's objectives.`));
    (own ? detail(own, gpus) : facts(gpus)).forEach((part) => place.append(part));
    place.append(rest(own, gpus));
  };

  // The links of the picture: those of the ring stand out, those beside the choice fade.
  const links = () => {
    const own = answerTo(data.gpus.filter((gpu) => picked.has(gpu)));
    const ring = new Set();
    ((own && own.rings) || []).forEach(([order]) => order.forEach((a, at) => {
      const b = order[(at + 1) % order.length];
      ring.add(`${Math.min(a, b)},${Math.max(a, b)}`);
    }));
    svg.querySelectorAll("[data-a]").forEach((line) => {
      const [a, b] = [+line.dataset.a, +line.dataset.b];
      line.classList.toggle("used", ring.has(`${Math.min(a, b)},${Math.max(a, b)}`));
      line.classList.toggle("rest", picked.size > 0 && !(picked.has(a) && picked.has(b)));
    });
  };

  // What is chosen, everywhere on the page.
  const show = () => {
    document.querySelectorAll("#gpus button").forEach((button) =>
      button.setAttribute("aria-pressed", picked.has(+button.dataset.device)));
    svg.querySelectorAll("[data-device]").forEach((node) =>
      node.classList.toggle("picked", picked.has(+node.dataset.device)));
    document.querySelectorAll("#cells td").forEach((cell) =>
      cell.classList.toggle("in", picked.has(+cell.dataset.a) && picked.has(+cell.dataset.b)));
    links();
    answer();
  };
  const toggle = (gpu) => {
    if (!data.gpus.includes(gpu)) return;
    if (!picked.delete(gpu)) picked.add(gpu);
    $("size").value = "";
    show();
  };

  // Arrows move among things of a kind, tab leaves them.
  const rove = (nodes, columns) => (event) => {
    const at = nodes.indexOf(event.target);
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? nodes.length - 1 : at + step;
    if (at < 0 || !nodes[to]) return;
    event.preventDefault();
    nodes[at].tabIndex = -1;
    nodes[to].tabIndex = 0;
    nodes[to].focus();
  };

  const buttons = data.gpus.map((gpu, at) => {
    const own = data.devices[gpu];
    const label = [own.name, own.facts, ...own.marks].filter(Boolean).join(", ");
    const button = make("button", own.name, {
      type: "button", "data-device": gpu, "aria-pressed": "false", title: label, "aria-label": label, tabindex: at ? -1 : 0, });
    if (own.marks.length) button.append(make("span", " ⚠", { "aria-hidden": "true" }));
    button.addEventListener("click", () => toggle(gpu));
    return button;
  });
  $("gpus").append(...buttons);
  $("gpus").addEventListener("keydown", rove(buttons, 1));

  $("size").append(make("option", "…", { value: "" }));
  data.best.forEach((best, at) => $("size").append(make("option", `${best.gpus.length} GPU${best.gpus.length > 1 ? "s" : ""}${best.rate ? `, ${best.rate}` : ""}`, { value: at })));
  $("size").addEventListener("change", (event) => {
    const best = data.best[event.target.value];
    if (!best) return;
    picked.clear();
    best.key.split(",").forEach((gpu) => picked.add(+gpu));
    show();
  });
  $("clear").addEventListener("click", () => { picked.clear(); $("size").value = ""; show(); });

  // The picture: clicks choose, hovering tells of links.
  const tip = $("tip");
  const tell = (words, event) => {
    tip.hidden = !words;
    tip.textContent = words || "";
    if (words) {
      tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 4))}px`;
      tip.style.top = `${Math.max(4, Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 4))}px`;
    }
  };
  // The tooltip of the page is told at once; the picture's own would come beside it.
  svg.querySelectorAll("title").forEach((node) => {
    if (node.parentNode === svg) return;
    node.parentNode.setAttribute("data-tip", node.textContent);
    node.remove();
  });
  svg.addEventListener("click", (event) => {
    const device = event.target.closest("[data-device]");
    if (device) toggle(+device.dataset.device);
  });
  svg.addEventListener("mousemove", (event) => {
    const node = event.target.closest("[data-a],[data-tip],[data-device]");
    const words = node && (node.dataset.a !== undefined ? said(+node.dataset.a, +node.dataset.b)
      : node.dataset.tip || data.devices[+node.dataset.device].name);
    tell(words, event);
    svg.querySelectorAll(".hot").forEach((line) => line.classList.remove("hot"));
    if (node && node.dataset.a !== undefined) node.classList.add("hot");
  });
  svg.addEventListener("mouseleave", () => tell(""));

  // The matrix.
  const cells = $("cells");
  const wide = data.devices.length;
  const tiny = wide > data.worded;
  cells.classList.toggle("tiny", tiny);
  const fields = [];
  if (rows.length) {
    const head = cells.createTHead().insertRow();
    head.append(make("th", "", { "aria-label": "GPU" }));
    data.devices.forEach((own) => head.append(make("th", own.name, { scope: "col", title: own.name })));
    const body = cells.createTBody();
    rows.forEach((row, a) => {
      const line = body.insertRow();
      line.append(make("th", data.devices[a].name, { scope: "row" }));
      row.forEach((_, b) => {
        const cell = make("td", "", { "data-a": a, "data-b": b, role: "gridcell", tabindex: fields.length ? -1 : 0 });
        fields.push(cell);
        line.append(cell);
      });
    });
  }
  const colour = (rates) => {
    fields.forEach((cell) => {
      const kind = pair(+cell.dataset.a, +cell.dataset.b);
      cell.textContent = rates ? kind.short : kind.word;
      cell.className = rates ? `b${kind.step}` : `p-${kind.path}`;
    });
    $("show-paths").setAttribute("aria-pressed", !rates);
    $("show-rates").setAttribute("aria-pressed", rates);
    show();
  };
  $("show-paths").addEventListener("click", () => colour(false));
  $("show-rates").addEventListener("click", () => colour(true));
  const cellTold = (event) => {
    const cell = event.target.closest("td");
    if (!cell) return;
    const words = said(+cell.dataset.a, +cell.dataset.b);
    $("cell").textContent = words;
    if (event.type === "mousemove") tell(words, event);
  };
  cells.addEventListener("mousemove", cellTold);
  cells.addEventListener("focusin", cellTold);
  cells.addEventListener("mouseleave", () => tell(""));
  cells.addEventListener("keydown", (event) => rove(fields, wide)(event));
  cells.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td");
    if (!cell || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    new Set([+cell.dataset.a, +cell.dataset.b]).forEach(toggle);
  });

  // Search: names, models, addresses, NUMA nodes, faults.
  const MOST = 24;
  const find = (event) => {
    const wanted = event.target.value.toLowerCase().trim();
    const place = $("found");
    place.replaceChildren();
    const hit = (own) => own.search.includes(wanted);
    const found = wanted ? data.devices.map((own, at) => [own, at]).filter(([own]) => hit(own)) : [];
    svg.querySelectorAll("[data-device]").forEach((node) =>
      node.classList.toggle("found", found.some(([, at]) => at === +node.dataset.device)));
    if (!wanted) return;
    place.append(make("span", found.length ? `${found.length} found` : "Nothing found"));
    found.slice(0, MOST).forEach(([own, at]) => {
      const button = make("button", own.name, { type: "button", title: own.facts });
      button.addEventListener("click", () => {
        const node = svg.querySelector(`[data-device="${at}"]`);
        if (node) node.scrollIntoView({ block: "center", inline: "center" });
      });
      place.append(button);
    });
    if (found.length > MOST) place.append(make("span", `and ${found.length - MOST} more`));
  };
  $("search").addEventListener("input", find);
  $("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && $("found").querySelector("button")) $("found").querySelector("button").click();
    if (event.key === "Escape") { event.target.value = ""; find(event); }
  });

  // Colours: the system's, light, dark.
  const root = document.documentElement;
  const themes = ["", "light", "dark"];
  const words = { "": "as the system", light: "light", dark: "dark" };
  const dress = (theme) => {
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
    $("theme").textContent = `Theme: ${words[theme]}`;
  };
  $("theme").addEventListener("click", () =>
    dress(themes[(themes.indexOf(root.dataset.theme || "") + 1) % themes.length]));
  dress(root.dataset.theme || "");

  colour(false);
})();

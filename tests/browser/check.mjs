// Opens the pages of `nvtopo draw` in a browser: clicks, keys, search, colours, widths, and where every text lies. Those of
// `nvtopo report` (report-*.html) are also printed.
//
//   node tests/browser/check.mjs PLAYWRIGHT CHROMIUM FOLDER [PICTURES]
//
// FOLDER holds the pages (*.html) and pictures (*.svg). Pictures of the screen go to PICTURES, to be looked at.

import { readFileSync, readdirSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [playwright, executablePath, folder, shots] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(resolve(playwright)).href);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const failures = [];
let checks = 0;
const expect = (true_, words) => {
  checks += 1;
  if (!true_) failures.push(words);
};
if (shots) mkdirSync(shots, { recursive: true });

async function open(file, colorScheme, width) {
  const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
  page.on("pageerror", (error) => failures.push(`${file}: ${error}`));
  page.on("console", (message) => message.type() === "error" && failures.push(`${file}: ${message.text()}`));
  page.on("dialog", (dialog) => { failures.push(`${file}: a dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    if (!/^(file|data):/.test(request.url())) failures.push(`${file}: asks for ${request.url()}`);
  });
  await page.goto(pathToFileURL(resolve(join(folder, file))).href);
  return page;
}

// No text lies on another, or outside of the smallest box around its middle.
const texts = () => {
  const svg = document.querySelector("svg");
  const area = (node) => node.getBoundingClientRect();
  const inside = (a, b, room) =>
    a.left >= b.left - room && a.right <= b.right + room && a.top >= b.top - room && a.bottom <= b.bottom + room;
  const words = [...svg.querySelectorAll("text")].map((node) => [node.textContent.trim(), area(node)]);
  const boxes = [...svg.querySelectorAll("rect")].map(area);
  const wrong = [];
  words.forEach(([content, a], at) => {
    const [x, y] = [(a.left + a.right) / 2, (a.top + a.bottom) / 2];
    const around = boxes.filter((box) => x >= box.left && x <= box.right && y >= box.top && y <= box.bottom);
    around.sort((one, other) => one.width * one.height - other.width * other.height);
    if (around[0] && !inside(a, around[0], 2)) wrong.push(`'${content}' leaves its box`);
    // Letters do not reach the edges of their line.
    const lap = words.slice(0, at).find(([, b]) =>
      a.left + 1 < b.right && b.left + 1 < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom);
    if (lap) wrong.push(`'${content}' lies on '${lap[0]}'`);
  });
  return wrong;
};

async function use(page, file) {
  const data = JSON.parse(await page.locator("#data").textContent());
  expect(await page.title() === await page.locator("h1").textContent(), `${file}: title`);
  const answer = page.locator("#answer");
  await page.locator("#clear").click();
  if (data.gpus.length === 0) return;
  const buttons = page.locator("#gpus button");
  expect(await buttons.count() === data.gpus.length, `${file}: a button for each GPU`);
  const pressed = () => page.locator("#gpus button[aria-pressed=true]").count();
  await buttons.first().click();
  expect(await pressed() === 1, `${file}: a click chooses`);
  const name = data.devices[0].name;
  expect((await answer.textContent()).includes(`Chosen: ${name}`), `${file}: the answer names ${name}`);
  expect(await page.locator("#picture .picked").count() > 0, `${file}: the picture shows the choice`);
  // In the picture.
  await page.locator(`#picture [data-device="${data.gpus.at(-1)}"]`).first().click();
  const both = data.gpus.length > 1 ? 2 : 0;
  expect(await pressed() === both, `${file}: a click in the picture chooses`);
  // By keys.
  await page.locator("#clear").click();
  await buttons.first().focus();
  await page.keyboard.press("End");
  await page.keyboard.press("Space");
  expect(await page.evaluate(() => document.activeElement.getAttribute("aria-pressed")) === "true", `${file}: keys choose`);
  expect(await page.locator("#gpus [tabindex='0']").count() === 1, `${file}: one stop for tab`);
  if (data.gpus.length > 1) {
    const sizes = await page.locator("#size option").count();
    expect(sizes > 1, `${file}: sizes`);
    if (data.best.length > 1) {
      await page.locator("#size").selectOption("1");
      expect(await pressed() === data.best[1].gpus.length, `${file}: the best set is chosen`);
      const told = await answer.textContent();
      expect(told.includes("Ring:") && told.includes("CPUs"), `${file}: ring and CPUs are told: ${told}`);
    }
  }
  // The matrix.
  const cells = page.locator("#cells td");
  expect(await cells.count() === data.pairs.length * data.devices.length, `${file}: a cell for each pair`);
  await page.locator("#cells td").first().focus();
  await page.keyboard.press("ArrowDown");
  if (data.gpus.length > 1) {
    const told = await page.locator("#cell").textContent();
    expect(told.startsWith(`${data.devices[1].name} – ${name}:`), `${file}: arrows move in the matrix: ${told}`);
  }
  await page.locator("#show-rates").click();
  expect(await page.locator("#show-rates").getAttribute("aria-pressed") === "true", `${file}: bandwidths`);
  const colours = await page.locator("#cells td").evaluateAll((all) => new Set(all.map((cell) => cell.className)).size);
  expect(colours >= 1, `${file}: colours`);
  await page.locator("#show-paths").click();
  // Search.
  await page.locator("#search").fill(name);
  expect(await page.locator("#found button").count() > 0, `${file}: search finds ${name}`);
  expect(await page.locator("#picture .found").count() > 0, `${file}: the picture shows what was found`);
  await page.locator("#search").fill("no such thing");
  expect((await page.locator("#found").textContent()) === "Nothing found", `${file}: nothing found is said`);
  await page.keyboard.press("Escape");
  // Hovering.
  await page.locator(`#picture [data-device="0"]`).first().hover();
  expect((await page.locator("#tip").textContent()).includes(name), `${file}: hovering tells of ${name}`);
  const link = page.locator("#picture [data-a]");
  if (await link.count()) {
    await link.first().hover({ force: true });
    const told = await page.locator("#tip").textContent();
    expect(told.includes("–"), `${file}: hovering tells of a link: ${told}`);
  }
  // Colours.
  const page_colour = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.locator("#theme").click();
  const light = await page_colour();
  await page.locator("#theme").click();
  const dark = await page_colour();
  expect(light === "rgb(255, 255, 255)" && dark !== light, `${file}: ${light} and ${dark}`);
  await page.locator("#theme").click();
}

// A report: it needs no script, its contents lead to its sections, and on paper nothing is cut or closed.
async function read(page, file) {
  expect(await page.evaluate(() => document.scripts.length) === 0, `${file}: no scripts`);
  for (const link of await page.locator("nav a").all()) {
    const anchor = await link.getAttribute("href");
    expect(await page.locator(anchor).count() === 1, `${file}: ${anchor}`);
    await link.click();
    expect(await page.locator(anchor).isVisible(), `${file}: ${anchor} is seen`);
  }
  const closed = page.locator("details").first();
  if (await closed.count()) {
    await closed.locator("summary").focus();
    await page.keyboard.press("Enter");
    expect(await closed.locator("table").isVisible(), `${file}: keys open a list`);
    await page.keyboard.press("Enter");
  }
}

// The room of A4 within the margins of the page, in pixels.
const PAPER = { width: 688, height: 1017 };

async function print(file) {
  const page = await open(file, "dark", PAPER.width);
  await page.setViewportSize(PAPER);
  await page.emulateMedia({ media: "print" });
  const wrong = await page.evaluate((width) => {
    const said = (node) => `'${node.textContent.slice(0, 40)}'`;
    const wrong = [];
    for (const node of document.querySelectorAll("table, svg, h1, li, p")) {
      if (node.closest("svg") && node.tagName !== "svg") continue;
      const area = node.getBoundingClientRect();
      if (area.right > width + 1) wrong.push(`${node.tagName} ${said(node)} is ${Math.round(area.right)} pixels wide on paper`);
    }
    for (const cell of document.querySelectorAll(".list td, .list th, .cells td, .cells tbody th")) {
      if (cell.scrollWidth > cell.clientWidth + 2) wrong.push(`${said(cell)} is cut on paper`);
    }
    for (const list of document.querySelectorAll("details")) {
      if (!list.querySelector("table").getBoundingClientRect().height) wrong.push(`${said(list)} is closed on paper`);
    }
    if (getComputedStyle(document.body).backgroundColor !== "rgb(255, 255, 255)") wrong.push("dark on paper");
    return wrong;
  }, PAPER.width);
  wrong.forEach((words) => expect(false, `${file}: ${words}`));
  checks += 1;
  if (shots) await page.pdf({ path: join(shots, `${file.slice(0, -5)}.pdf`), format: "A4" });
  await page.close();
}

for (const file of readdirSync(folder).filter((name) => name.endsWith(".html")).sort()) {
  const is_report = file.startsWith("report-");
  const size = readFileSync(join(folder, file)).length;
  expect(size < 1_000_000, `${file} has ${size} bytes`);
  for (const [scheme, width] of [["light", 1600], ["dark", 1600], ["light", 360], ["dark", 360]]) {
    const page = await open(file, scheme, width);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(wide <= width, `${file}: ${wide} pixels wide at ${width}`);
    if (shots) await page.screenshot({ path: join(shots, `${file.slice(0, -5)}-${scheme}-${width}.png`), fullPage: true });
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    expect((background === "rgb(255, 255, 255)") === (scheme === "light"), `${file}: ${background} in ${scheme}`);
    if (scheme === "light") await (is_report ? read : use)(page, `${file} at ${width}`);
    await page.close();
  }
  if (is_report) await print(file);
}
for (const file of readdirSync(folder).filter((name) => name.endsWith(".svg")).sort()) {
  const page = await open(file, "light", 1300);
  for (const wrong of await page.evaluate(texts)) expect(false, `${file}: ${wrong}`);
  checks += 1;
  await page.close();
}
await browser.close();
failures.forEach((words) => console.error(words));
console.log(`${checks} checks, ${failures.length} failures`);
process.exit(failures.length ? 1 : 0);

// The pages of a visit as the script shows them, from the parts that the server made of its templates.
import { allowAnother, focusErrors } from "./_forms.js";
import { showMinutesLeft } from "./_pace.js";

// Returns the way through the visit that an address names: "?review" to change one answer, "?short" for the most important
// questions only, else "".
function wayOf(search) {
  return ["?review", "?short"].find((way) => search.startsWith(way)) ?? "";
}

// Returns the address after a question.
export function following(loaded, position, search) {
  const way = wayOf(search);
  if (way === "?short" && position >= loaded.n_core) return `${loaded.base}enough`;
  if (way === "?review" || position >= loaded.items.length) return `${loaded.base}review`;
  return `${loaded.base}item/${position + 1}${way}`;
}

export function showItem(main, loaded, item, search) {
  loaded.seen.add(item.name);
  main.innerHTML = item.html;
  const form = main.querySelector("form");
  form.elements.csrf_token.value = loaded.token;
  const value = loaded.answers[item.name];
  const chosen = form.querySelector(`input[name=answer][value="${value}"]`);
  if (chosen) chosen.checked = true;
  if (form.elements.free_text) form.elements.free_text.value = loaded.free_texts[item.name] ?? "";
  if (value === null) main.append(paragraph(loaded.texts.can_still));
  document.title = item.title;
  const position = loaded.positions[item.name];
  showMinutesLeft(loaded.items.length - position + 1, loaded.texts.left);
  const way = wayOf(search);
  if (way === "?review") showBack(`${loaded.base}review`, loaded.texts.back_to_review);
  else showBack(position > 1 && `${loaded.base}item/${position - 1}${way}`, loaded.texts.back);
}

// After the most important questions, for who has only a minute.
export function showEnough(main, loaded, n) {
  main.innerHTML = loaded.enough;
  main.querySelector(".actions a").href = `${loaded.base}item/${loaded.n_core + 1}`;
  sayWhereAnswersAre(n);
  document.title = `${main.querySelector("h1").textContent} · ${loaded.texts.clinic}`;
  showBack(`${loaded.base}item/${loaded.n_core}?short`, loaded.texts.back);
}

export function showAdvice(main, loaded, item, search) {
  main.innerHTML = item.advice[loaded.answers[item.name]] ?? "";
  const [onward, mistake] = main.querySelectorAll(".actions a");
  onward.href = following(loaded, loaded.positions[item.name], search);
  mistake.href = `${loaded.base}item/${loaded.positions[item.name]}${search}`;
  document.title = `${main.querySelector("h1").textContent} · ${loaded.texts.clinic}`;
  showBack(null);
}

export function showReview(main, loaded, n) {
  main.innerHTML = loaded.review;
  for (const field of main.querySelectorAll("[name=csrf_token]")) field.value = loaded.token;
  sayWhereAnswersAre(n);
  const list = main.querySelector("ol");
  for (const item of loaded.items) {
    list.append(reviewLine(loaded, item));
    if (loaded.free_texts[item.name]) list.append(line(item.free_line, loaded.free_texts[item.name]));
  }
  const open = loaded.items.filter((item) => (loaded.answers[item.name] ?? null) === null).length;
  main.querySelector(".notice span").textContent = loaded.texts.open[open];
  document.title = `${main.querySelector("h1").textContent} · ${loaded.texts.clinic}`;
  showBack(null);
}

function reviewLine(loaded, item) {
  const value = loaded.answers[item.name];
  const found = line(item.line, value === undefined || value === null ? reason(loaded, item) : labelOf(item, value));
  if (value === undefined || value === null) found.querySelector("b").lang = document.documentElement.lang;
  return found;
}

function reason(loaded, item) {
  if (loaded.answers[item.name] === null) return loaded.texts.declined;
  return loaded.seen.has(item.name) ? loaded.texts.seen : loaded.texts.not_reached;
}

function labelOf(item, value) {
  return fragment(item.html).querySelector(`label[for="answer-${value}"]`).textContent;
}

function line(html, text) {
  const found = fragment(html).firstElementChild;
  found.querySelector("b").textContent = text;
  return found;
}

function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

function paragraph(text) {
  return Object.assign(document.createElement("p"), { className: "quiet", textContent: text });
}

function showBack(address, text) {
  const header = document.querySelector("header");
  header.querySelector(".govuk-back-link")?.remove();
  if (!address) return;
  header.prepend(Object.assign(document.createElement("a"), { className: "govuk-back-link", href: address, textContent: text }));
}

// The review says that answers are saved, which is true when none waits here any more.
export function sayWhereAnswersAre(n) {
  const sentence = document.querySelector("[data-kept]");
  if (sentence) sentence.textContent = n ? sentence.dataset.kept : sentence.dataset.saved;
}

export function showError(form, { texts }) {
  allowAnother(form);
  document.querySelector("[data-module=govuk-error-summary]")?.remove();
  document.querySelector("main").prepend(fragment(texts.error));
  const group = form.querySelector(".govuk-form-group");
  if (!group.classList.contains("govuk-form-group--error")) {
    const field = group.querySelector("fieldset");
    group.classList.add("govuk-form-group--error");
    field.querySelector("legend").after(fragment(texts.error_message));
    field.setAttribute("aria-describedby", `${field.getAttribute("aria-describedby") ?? ""} error`.trim());
    document.title = `${texts.error_title} ${document.title}`;
  }
  const [first] = form.querySelectorAll("input[name=answer]");
  document.querySelector("[data-module=govuk-error-summary] a").href = `#${first.id}`;
  focusErrors();
}

// Requests to the server. Every mistake is an Error whose message is one line for a person.

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. Is `selfplay serve` still running?");
  }
  let value;
  try {
    value = await response.json();
  } catch {
    throw new Error(`The server answered with ${response.status}.`);
  }
  if (!response.ok) throw new Error(value.error ?? `The server answered with ${response.status}.`);
  return value;
}

/** What GET answers; `query` is an object of texts and numbers, those that are null are left out. */
export function get(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const text = new URLSearchParams(given).toString();
  return ask(text ? `${path}?${text}` : path, { headers: { Accept: "application/json" } });
}

/** What POST of an object answers. */
export function post(path, value = {}) {
  return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });
}

// What the pages share: the API, and who is signed in.

/** Why a request failed, in words for people. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function api(path, { method = "GET", body, signal } = {}) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  const response = await fetch(`/api/${path}`, { method, headers, signal, body: body && JSON.stringify(body) });
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  throw new Refused(response.status, answer?.message ?? "The shop doesn't answer. Please try again.");
}

/** {id, name, is_staff}, or `null` where nobody is signed in. */
export async function me({ signal } = {}) {
  try {
    return await api("me", { signal });
  } catch (error) {
    if (error.status === 401) return null;
    throw error;
  }
}

export const at = (id) => document.getElementById(id);

export function greet({ name, is_staff }) {
  at("who").textContent = is_staff ? `${name}, staff` : name;
}

export const title = (status) => status[0].toUpperCase() + status.slice(1);

// Who is signed in: access tokens from the server, for a refresh token in a cookie that no script
// sees. No token is kept anywhere but in memory.

/** Nobody is signed in (any more), or the password is wrong. */
export class SignedOut extends Error {}

/**
 * A refresh token is good once, and the tabs of a browser share it: so they ask one after the other.
 * `keepalive`, since an answer that is lost, because the page is left meanwhile, costs the login.
 */
function post(path, body) {
  return navigator.locks.request("account", async () => {
    const response = await fetch(path, {
      method: "POST",
      keepalive: true,
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    if (response.status === 401) throw new SignedOut();
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return response.status === 204 ? null : response.json();
  });
}

/** Each resolves to {name, token}; rejects with `SignedOut`, or with another error: try again. */
export const signIn = (name, password) => post("login", { name, password });
export const refresh = () => post("refresh");

/** Ends this browser's login, or all of this user's. */
export const signOut = () => post("logout");
export const signOutEverywhere = () => post("logout-everywhere");

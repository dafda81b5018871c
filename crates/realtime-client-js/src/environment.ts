// What a browser tells a page, or a worker, of the network and of itself. Elsewhere nothing of it
// exists, and nothing happens.

interface Told {
  /** The network is back, the page is looked at again, or it comes out of the back-forward cache. */
  onHope_: () => void;
  onOffline_: () => void;
}

/** Until `signal` is aborted. */
export function watchEnvironment({ onHope_: onHope, onOffline_: onOffline }: Told, signal: AbortSignal): void {
  globalThis.addEventListener?.("online", onHope, { signal });
  globalThis.addEventListener?.("offline", onOffline, { signal });
  globalThis.addEventListener?.("pageshow", (event) => event.persisted && onHope(), { signal });
  const onLook = () => isHidden() || onHope();
  page()?.addEventListener("visibilitychange", onLook, { signal });
}

/** Of a page that nobody looks at, the timers are late. */
export function isHidden(): boolean {
  return page()?.visibilityState === "hidden";
}

const page = () => globalThis.document as Document | undefined;

/** Only an opinion: a server on this machine can be reached all the same. */
export function isOffline(): boolean {
  return globalThis.navigator?.onLine === false;
}

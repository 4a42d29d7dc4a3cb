/** What a browser has and Node has not: modules that know the session look for it when they are loaded. */
const values = new Map<string, string>();
const storage: Pick<Storage, "getItem" | "setItem" | "removeItem"> = {
  getItem: (key) => values.get(key) ?? null,
  setItem: (key, value) => void values.set(key, value),
  removeItem: (key) => void values.delete(key),
};
Object.assign(globalThis, { sessionStorage: storage, localStorage: storage, addEventListener: () => {} });

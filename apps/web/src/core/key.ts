// The key of the device's database. It lies in IndexedDB, sealed by a key that the browser keeps and never gives out: a copy
// of the origin's files opens nothing. Scripts of this origin can use it; they are what a person trusts here.

const DATABASE = "mifeng-key";
const STORE = "keys";
const ID = "database";
const PURPOSE = new TextEncoder().encode("mifeng/v1 web database key");

interface Sealed {
  wrapping: CryptoKey;
  iv: Uint8Array<ArrayBuffer>;
  sealed: ArrayBuffer;
}

/** The database's key, made and durable when there is none yet. To be called by one worker at a time. */
export async function databaseKey(): Promise<Uint8Array> {
  const database = await open();
  try {
    const found = await finished<Sealed | undefined>(database.transaction(STORE).objectStore(STORE).get(ID));
    return found ? await unseal(found) : await make(database);
  } finally {
    database.close();
  }
}

async function unseal({ wrapping, iv, sealed }: Sealed): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData: PURPOSE }, wrapping, sealed));
}

async function make(database: IDBDatabase): Promise<Uint8Array> {
  const wrapping = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const key = crypto.getRandomValues(new Uint8Array(32));
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: PURPOSE }, wrapping, key);
  // Before the first page of the database is written, its key is on the disk.
  const transaction = database.transaction(STORE, "readwrite", { durability: "strict" });
  transaction.objectStore(STORE).put({ wrapping, iv, sealed } satisfies Sealed, ID);
  await new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("IndexedDB does not keep the key"));
  });
  return key;
}

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => void request.result.createObjectStore(STORE);
  return finished(request);
}

function finished<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB is not available"));
  });
}

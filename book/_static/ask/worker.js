// The interpreter, beside the page so that it never freezes: CPython for WASI, whose files book/interpreter.py packed.
//
// It is asked {cell, rows, code}: the address of packed rows, and lines of Python. It answers {loading, seen, total} while it
// starts, then what the lines give, {cell, chart | html | text | wrong} each, and {cell, finished}; or {error}, after which
// it is of no use. It is stopped by its end, since Python knows nothing of what happens beside it.
import { allowed, bytes, unpacked } from "../playground/loading.js";
import { ConsoleStdout, Directory, File, OpenFile, PreopenDirectory, WASI } from "./wasi/index.js";

const here = (file) => new URL(file, import.meta.url).href;
const SETTINGS = ["TMPDIR=/tmp", "HOME=/tmp", "NO_COLOR=1"];            // Altair asks where the home is

let asking, python;
const files = new Map();                                                // of /rows: name -> packed rows

async function start() {
  allowed();
  const { wasm, library } = await (await fetch(here("interpreter.json"))).json();
  const runtime = await unpacked(await bytes(here(wasm), "Python"));
  const modules = await bytes(here(library), "NumPy, pandas and the book's statistics");
  postMessage({ starting: true });
  const folder = (...content) => new Directory(content);
  const print = (kind) => ConsoleStdout.lineBuffered((line) => tell(kind, line));
  const wasi = new WASI(["python"], SETTINGS, [
    new OpenFile(new File([])), print("text"), print("text"),
    new PreopenDirectory("/", [["tmp", folder()], ["rows", new Directory(files)],
      ["usr", folder(["local", folder(["lib", folder([library, new File(modules)])])])]]),
  ], { debug: false });
  // `host.call` is the wheel's own door to whoever runs it, and nobody stands behind it here
  const compiled = await WebAssembly.compile(runtime).catch(({ message }) => {
    throw new Error(`your browser cannot compile Python (${message}); expected one of mid-2025 or later.`);
  });
  const instance = await WebAssembly.instantiate(compiled,
    { wasi_snapshot_preview1: wasi.wasiImport, host: { call: () => -1 } });
  wasi.inst = instance;
  instance.exports._initialize?.();
  return instance.exports;
}

// A line of standard output: what ldm.figures.asked tells begins with a zero byte, all else is what the reader printed
function tell(kind, line) {
  if (!line.startsWith("\0")) return postMessage({ cell: asking, [kind]: line });
  const { error, ...answer } = JSON.parse(line.slice(1));
  postMessage({ cell: asking, ...(error === undefined ? answer : { wrong: error }) });
}

function turn(code) {
  const text = new TextEncoder().encode(code), place = python.host_alloc(text.length) >>> 0;
  new Uint8Array(python.memory.buffer).set(text, place);
  if (python.turn(place, text.length)) postMessage({ cell: asking, wrong: "Python could not run the cell (above)." });
}

async function ask({ cell, rows, code }) {
  python ??= await start();
  const name = `${cell}.npz`;
  if (!files.has(name)) files.set(name, new File(await bytes(rows, "the rows")));
  asking = cell;
  postMessage({ cell, running: true });
  turn(`from ldm.figures import asked; asked.run(${JSON.stringify(`/rows/${name}`)}, ${JSON.stringify(code)})`);
  postMessage({ cell, finished: true });
}

let before = Promise.resolve();                                         // one question at a time
onmessage = ({ data }) => {
  before = before.then(() => ask(data)).catch((error) => postMessage({ error: error.message ?? String(error) }));
};

// The first thing that runs in a page: unpacks its modules and gives each an address of its own.

(async () => {
  const packed = document.getElementById("modules")?.textContent ?? "";
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const modules = Object.entries(await new Response(stream).json());
  const imports = Object.fromEntries(modules.map(([name, code]) =>
    [name, `data:text/javascript;charset=utf-8,${encodeURIComponent(code)}`]));
  const map = document.createElement("script");
  map.type = "importmap";
  map.textContent = JSON.stringify({ imports }); // the one that the security policy knows
  document.head.append(map);
  (await import("app")).start();
})();

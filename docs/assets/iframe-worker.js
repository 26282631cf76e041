// Browsers start no worker on a page that is read from the disk; the search then runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      this.ready = new Promise((resolve) => {
        const start = () => {
          document.body.append(frame);
          const inside = frame.contentWindow;
          const load = (address) =>
            new Promise((done, failed) => {
              const script = inside.document.createElement("script");
              Object.assign(script, { src: address, onload: done, onerror: failed });
              inside.document.head.append(script);
            });
          inside.importScripts = (...addresses) =>
            addresses.reduce((before, address) => before.then(() => load(address)), Promise.resolve());
          inside.postMessage = (data) => {
            const told = new MessageEvent("message", { data });
            this.dispatchEvent(told);
            this.onmessage?.(told);
          };
          load(url).then(() => resolve(inside));
        };
        document.body ? start() : addEventListener("DOMContentLoaded", start);
      });
      this.frame = frame;
    }

    postMessage(data) {
      this.ready.then((inside) => inside.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  };
}

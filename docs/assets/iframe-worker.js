/* Search from disk. Browsers start no worker for a page at file://, so the worker's script runs in a hidden frame there.
   The name of this file tells the theme's offline plugin that it need not fetch a script that does the same. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.documentElement.append(frame);
      const inside = frame.contentWindow;
      this.waiting = [];
      // what the worker posts goes to the page; what the page posts, to the worker once its script has run
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.deliver = (data) => inside.dispatchEvent(new inside.MessageEvent("message", { data }));
      const script = inside.document.createElement("script");
      script.src = new URL(url, location.href);
      script.onload = () => {
        const waiting = this.waiting;
        this.waiting = null;
        waiting.forEach(this.deliver);
      };
      inside.document.body.append(script);
      this.terminate = () => frame.remove();
    }
    postMessage(data) {
      this.waiting ? this.waiting.push(data) : this.deliver(data);
    }
  };
}

// Names for screen readers: gradio's buttons that hold nothing but a picture have none.
() => {
  function name() {
    for (const picture of document.querySelectorAll("button img")) {
      const button = picture.closest("button");
      if (button.textContent.trim() || button.ariaLabel) continue;
      const file = decodeURIComponent(picture.src.split("/").pop());
      button.ariaLabel = button.closest("#photo") ? "The photo" : "Example photo " + file;
    }
  }
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
  name();
}

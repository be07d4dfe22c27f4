// When views are drawn: those in the window in the next frame; the others afterwards, one at a time, so that the page
// answers in between. Requests before that frame are one, and what is out of sight waits until the requests pause.
const PAUSE = 60;                                         // milliseconds

/** {add(node, paint), draw(nodes)}. first: what every frame begins with. shown: called when the window shows what was
 *  asked for; done: when everything is drawn. */
export function drawing({ first, shown, done }) {
  const paints = new Map(), stale = new Set(), near = new Set();
  let frame = null, rest = null;
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) isIntersecting ? near.add(target) : near.delete(target);
    if ([...stale].some((node) => near.has(node))) request();
  }, { rootMargin: "20%" });

  function request() { frame ??= requestAnimationFrame(paint_near); }

  function paint_near() {
    frame = null;
    clearTimeout(rest);
    first();
    for (const node of [...stale]) if (near.has(node)) paint(node);
    setTimeout(() => {                                    // after this frame's layout and painting
      if (frame !== null) return;                         // the next frame is asked for already
      shown();
      clearTimeout(rest);
      rest = stale.size ? setTimeout(paint_rest, PAUSE) : done();
    });
  }

  function paint_rest() {
    const [node] = stale;
    paint(node);
    rest = stale.size ? setTimeout(paint_rest) : done();
  }

  function paint(node) {
    stale.delete(node);
    paints.get(node)();
  }

  return {
    add(node, paint) { paints.set(node, paint); watch.observe(node); },
    draw(nodes = paints.keys()) { for (const node of nodes) stale.add(node); request(); },
  };
}

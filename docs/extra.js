// The theme lets broad tables scroll; whoever has no mouse reaches and scrolls what can have the focus.
document$.subscribe(() => {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap")) {
    box.tabIndex = 0;
  }
});

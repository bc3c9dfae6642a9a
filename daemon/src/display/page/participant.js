// Blanks the participant's screen on any key. Only a double click brings fixation back:
// trigger and button boxes type keys all the time, but none of them has a mouse.

const screen = document.body;

document.addEventListener('keydown', (event) => {
  event.preventDefault();
  screen.dataset.blank = 'true';
});
document.addEventListener('dblclick', () => { screen.dataset.blank = 'false'; });

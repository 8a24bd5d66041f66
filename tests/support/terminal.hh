#pragma once

#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "base/file.hh"

namespace seawall::test {

/// A pseudo-terminal of 100 columns that passes bytes on unchanged.
class Terminal {
 public:
  Terminal() {
    int master = -1, terminal = -1;
    if (openpty(&master, &terminal, nullptr, nullptr, nullptr) != 0) throw std::runtime_error("no pseudo-terminal");
    ours_ = Fd(master);
    theirs_ = Fd(terminal);
    termios raw{};
    tcgetattr(terminal, &raw);
    cfmakeraw(&raw);
    tcsetattr(terminal, TCSANOW, &raw);
    resize(100);
  }

  /// What the program writes to.
  int fd() const { return theirs_.get(); }

  void resize(unsigned short columns) const {
    winsize window{};
    window.ws_col = columns;
    ioctl(theirs_.get(), TIOCSWINSZ, &window);
  }

  /// What was written up to the next '\r' or '\n'; waits for it. One read(2) may give less than one write(2) put in.
  std::string read_line() const {
    std::string line;
    for (char c = 0; c != '\r' && c != '\n'; line += c) {
      if (::read(ours_.get(), &c, 1) != 1) throw std::runtime_error("terminal closed after: " + line);
    }
    return line;
  }

 private:
  Fd ours_, theirs_;
};

}  // namespace seawall::test

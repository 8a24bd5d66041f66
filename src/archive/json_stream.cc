#include "archive/detail/json_stream.hh"

#include <fmt/format.h>

#include <array>
#include <memory>
#include <optional>

#include "base/text.hh"

namespace seawall::archive {

bool JsonEvents::begin(bool is_object) {
  constexpr unsigned max_depth = 1000;
  if (++depth_ > max_depth) return fail("nested too deeply");
  return skipped_at_ != 0 || on_begin(is_object);
}

bool JsonEvents::end() {
  --depth_;
  if (skipped_at_ == 0) return on_end();
  if (depth_ == skipped_at_) skipped_at_ = 0;
  return true;
}

namespace {

constexpr std::size_t piece_bytes = std::size_t{64} << 10;
/// Longer than any name, label or user data, and little enough to be held.
constexpr std::size_t max_string_bytes = std::size_t{64} << 20;
constexpr std::size_t max_number_bytes = 1024;

constexpr auto plain_characters = [] {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < plain.size(); ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

bool is_plain(char c) { return plain_characters[static_cast<unsigned char>(c)]; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// -?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?
bool is_number(std::string_view text) {
  const auto digits = [&] {
    const std::size_t before = text.size();
    while (!text.empty() && is_digit(text[0])) text.remove_prefix(1);
    return before - text.size();
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  const bool zero = text.starts_with('0');
  const std::size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return text.empty();
}

void append_utf8(std::string& to, unsigned rune) {
  const auto put = [&](unsigned byte) { to.push_back(static_cast<char>(byte)); };
  if (rune < 0x80) return put(rune);
  if (rune < 0x800) {
    put(0xC0 | rune >> 6);
  } else {
    if (rune < 0x10000) {
      put(0xE0 | rune >> 12);
    } else {
      put(0xF0 | rune >> 18);
      put(0x80 | (rune >> 12 & 0x3F));
    }
    put(0x80 | (rune >> 6 & 0x3F));
  }
  put(0x80 | (rune & 0x3F));
}

bool is_high_surrogate(unsigned unit) { return unit >= 0xD800 && unit < 0xDC00; }
bool is_low_surrogate(unsigned unit) { return unit >= 0xDC00 && unit < 0xE000; }

class Tokenizer {
 public:
  Tokenizer(Source& from, JsonEvents& events, std::string_view origin, Errc code)
      : from_(from), events_(events), origin_(origin), code_(code), buffer_(std::make_unique<char[]>(piece_bytes)) {}

  void run() {
    State state = State::value;
    for (;;) {
      skip_blanks();
      if (state == State::after && open_.empty()) {
        if (!at_end()) fail("something stands behind the document");
        return;
      }
      if (at_end()) fail("the document ends early");
      state = step(state);
    }
  }

 private:
  enum class State { value, first_key, key, first_item, after };

  [[noreturn]] void fail(std::string_view what) const {
    throw Error(code_, fmt::format("{}: at byte {}: {}", origin_, before_ + at_, what));
  }
  void check(bool accepted) const {
    if (!accepted) fail(events_.failure());
  }

  // A view into the buffer lives until the next at_end() or peek() after the buffer's last byte was taken.
  bool at_end() {
    if (at_ < end_ || ended_) return at_ == end_;
    before_ += end_;
    at_ = 0;
    end_ = from_.read(std::as_writable_bytes(std::span(buffer_.get(), piece_bytes)));
    ended_ = end_ == 0;
    return ended_;
  }
  char peek() {
    if (at_end()) fail("the document ends early");
    return buffer_[at_];
  }
  char take() {
    const char c = peek();
    ++at_;
    return c;
  }
  void skip_blanks() {
    while (!at_end()) {
      const char c = buffer_[at_];
      if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
      ++at_;
    }
  }

  State step(State state);
  State begin(char closing);
  State close();
  State key();
  State value();
  void word(std::string_view expected);
  void number();
  std::string_view string();
  void escape();
  unsigned code_unit();
  void unicode_escape();

  Source& from_;
  JsonEvents& events_;
  std::string_view origin_;
  Errc code_;
  std::unique_ptr<char[]> buffer_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  bool ended_ = false;
  std::size_t before_ = 0;  ///< bytes in earlier pieces
  std::string open_;        ///< what closes the open containers, innermost last
  std::string text_;        ///< of a string or a number that is not one run of the buffer
};

Tokenizer::State Tokenizer::step(State state) {
  const char c = peek();
  switch (state) {
    case State::value:
      return value();
    case State::key:
      return key();
    case State::first_key:
      return c == '}' ? close() : key();
    case State::first_item:
      return c == ']' ? close() : value();
    case State::after:
      break;
  }
  if (c == open_.back()) return close();
  if (c != ',') fail(open_.back() == '}' ? "neither ',' nor '}'" : "neither ',' nor ']'");
  ++at_;
  return open_.back() == '}' ? State::key : State::value;
}

Tokenizer::State Tokenizer::begin(char closing) {
  ++at_;
  open_.push_back(closing);
  check(events_.begin(closing == '}'));
  return closing == '}' ? State::first_key : State::first_item;
}

Tokenizer::State Tokenizer::close() {
  ++at_;
  open_.pop_back();
  check(events_.end());
  return State::after;
}

Tokenizer::State Tokenizer::key() {
  if (peek() != '"') fail("no name of a member");
  check(events_.key(string()));
  skip_blanks();
  if (peek() != ':') fail("no ':' behind a name");
  ++at_;
  return State::value;
}

Tokenizer::State Tokenizer::value() {
  switch (peek()) {
    case '{':
      return begin('}');
    case '[':
      return begin(']');
    case '"':
      check(events_.text(string()));
      break;
    case 't':
      word("true");
      check(events_.boolean(true));
      break;
    case 'f':
      word("false");
      check(events_.boolean(false));
      break;
    case 'n':
      word("null");
      check(events_.null());
      break;
    default:
      number();
  }
  return State::after;
}

void Tokenizer::word(std::string_view expected) {
  for (const char c : expected) {
    if (peek() != c) fail("no value of JSON");
    ++at_;
  }
}

void Tokenizer::number() {
  text_.clear();
  while (!at_end()) {
    const char c = buffer_[at_];
    if (!is_digit(c) && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E') break;
    if (text_.size() == max_number_bytes) fail("a number of too many digits");
    text_.push_back(c);
    ++at_;
  }
  if (!is_number(text_)) fail("no value of JSON");
  check(events_.number(text_));
}

/// The string whose quote comes next. Without escapes and within one piece, which is nearly always, it is not copied.
std::string_view Tokenizer::string() {
  ++at_;
  text_.clear();
  for (;;) {
    peek();
    const std::size_t first = at_;
    while (at_ < end_ && is_plain(buffer_[at_])) ++at_;
    const std::string_view run(buffer_.get() + first, at_ - first);
    if (at_ < end_ && buffer_[at_] == '"' && text_.empty()) {
      ++at_;
      return run;
    }
    if (text_.size() + run.size() > max_string_bytes) fail("a string of more than 64 MiB");
    text_.append(run);
    if (at_ == end_) continue;
    if (buffer_[at_] == '"') {
      ++at_;
      return text_;
    }
    if (buffer_[at_] != '\\') fail("a control character in a string");
    ++at_;
    escape();
  }
}

void Tokenizer::escape() {
  switch (take()) {
    case '"':
      text_.push_back('"');
      break;
    case '\\':
      text_.push_back('\\');
      break;
    case '/':
      text_.push_back('/');
      break;
    case 'b':
      text_.push_back('\b');
      break;
    case 'f':
      text_.push_back('\f');
      break;
    case 'n':
      text_.push_back('\n');
      break;
    case 'r':
      text_.push_back('\r');
      break;
    case 't':
      text_.push_back('\t');
      break;
    case 'u':
      unicode_escape();
      break;
    default:
      fail("an escape that JSON does not know");
  }
}

unsigned Tokenizer::code_unit() {
  std::array<char, 4> digits{};
  for (char& digit : digits) digit = take();
  const auto unit = parse_int<unsigned>({digits.data(), digits.size()}, 16);
  if (!unit) fail("\\u without four hex digits");
  return *unit;
}

void Tokenizer::unicode_escape() {
  constexpr unsigned replacement = 0xFFFD;
  unsigned unit = code_unit();
  while (is_high_surrogate(unit)) {
    if (peek() != '\\') return append_utf8(text_, replacement);
    ++at_;
    if (peek() != 'u') {
      append_utf8(text_, replacement);
      return escape();
    }
    ++at_;
    const unsigned low = code_unit();
    if (is_low_surrogate(low)) {
      return append_utf8(text_, 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
    }
    append_utf8(text_, replacement);
    unit = low;
  }
  append_utf8(text_, is_low_surrogate(unit) ? replacement : unit);
}

}  // namespace

void parse_json_stream(Source& from, JsonEvents& events, std::string_view origin, Errc code) {
  Tokenizer(from, events, origin, code).run();
}

}  // namespace seawall::archive

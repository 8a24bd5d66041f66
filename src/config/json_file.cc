#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hh"
#include "config/detail/settings_text.hh"

namespace seawall::config::detail {
namespace {

/// Events instead of a document: only they tell how a number was spelled, and depth costs no stack.
class JsonEvents final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit JsonEvents(std::string_view name) : flat_(name) {}

  bool null() override { return flat_.null(), true; }
  bool boolean(bool value) override { return flat_.plain(value ? "true" : "false"), true; }
  bool number_integer(number_integer_t value) override { return flat_.plain(fmt::to_string(value)), true; }
  bool number_unsigned(number_unsigned_t value) override { return flat_.plain(fmt::to_string(value)), true; }
  bool number_float(number_float_t, const string_t& spelling) override { return flat_.plain(spelling), true; }
  bool string(string_t& value) override { return flat_.string(value), true; }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return flat_.open('{'), true; }
  bool key(string_t& value) override { return flat_.key(value), true; }
  bool end_object() override { return flat_.close(), true; }
  bool start_array(std::size_t) override { return flat_.open('['), true; }
  bool end_array() override { return flat_.close(), true; }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    position_ = position;
    return false;
  }

  Pairs take() { return flat_.take(); }
  std::size_t position() const { return position_; }

 private:
  Flattener flat_;
  std::size_t position_ = 0;
};

}  // namespace

bool is_json(std::string_view text) { return nlohmann::json::accept(text.begin(), text.end()); }

Pairs read_json(std::string_view text, std::string_view name) {
  JsonEvents events(name);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &events)) {
    // The parser's own message quotes the token it stopped at, which may be a password.
    const std::size_t read = std::min(events.position(), text.size() + 1);
    const std::string_view before = text.substr(0, read == 0 ? 0 : read - 1);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const auto column = before.size() - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
    throw Error(Errc::config, fmt::format("{}: line {}, column {}: this is not JSON any more: look for a missing "
                                          "quote, comma or brace at or before this place",
                                          name, line, column));
  }
  return events.take();
}

}  // namespace seawall::config::detail

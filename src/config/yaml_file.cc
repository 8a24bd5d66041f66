#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <sstream>

#include "base/error.hh"
#include "config/detail/settings_text.hh"

namespace seawall::config::detail {
namespace {

/// yaml-cpp takes the end of the text for the closing quote, so a file that was cut off would go unnoticed.
bool lacks_closing_quote(std::string_view text, int start) {
  if (start < 0 || static_cast<std::size_t>(start) >= text.size()) return false;
  std::size_t at = static_cast<std::size_t>(start);
  const char quote = text[at];
  if (quote != '"' && quote != '\'') return false;
  while (++at < text.size()) {
    if (quote == '"' && text[at] == '\\') {
      ++at;
    } else if (text[at] == quote) {
      if (quote == '"' || !text.substr(at + 1).starts_with('\'')) return false;
      ++at;
    }
  }
  return true;
}

class YamlEvents final : public YAML::EventHandler {
 public:
  YamlEvents(std::string_view text, std::string_view name) : text_(text), name_(name), flat_(name) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (!flat_.inside()) return;  // an empty document
    if (flat_.wants_key()) fail(mark, "a value stands here without a key");
    flat_.null();
    if (anchor != YAML::NullAnchor) anchors_[anchor] = {"", Anchor::Kind::null};
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (tag != "?" && lacks_closing_quote(text_, mark.pos)) fail(mark, "the quote that opens here is never closed");
    const Anchor scalar{value, tag == "?" ? Anchor::Kind::plain : Anchor::Kind::string};
    put(scalar);
    if (anchor != YAML::NullAnchor) anchors_[anchor] = scalar;
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) fail(mark, "an alias refers to the value that it is part of");
    const bool as_key = flat_.wants_key();
    if (as_key && (found->second.kind == Anchor::Kind::json || found->second.kind == Anchor::Kind::null)) {
      fail(mark, "a key must be a word");
    }
    put(found->second);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, '[', anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, '{', anchor);
  }
  void OnMapEnd() override { close(); }

  Pairs take() { return flat_.take(); }

 private:
  struct Anchor {
    std::string text;
    enum class Kind { null, plain, string, json } kind = Kind::null;
  };

  void put(const Anchor& value) {
    if (flat_.wants_key()) return flat_.key(value.text);
    switch (value.kind) {
      case Anchor::Kind::null:
        return flat_.null();
      case Anchor::Kind::plain:
        return flat_.plain(value.text);
      case Anchor::Kind::string:
        return flat_.string(value.text);
      case Anchor::Kind::json:
        return flat_.raw(value.text);
    }
  }
  void open(const YAML::Mark& mark, char bracket, YAML::anchor_t anchor) {
    if (flat_.wants_key()) fail(mark, "a key must be a word");
    flat_.open(bracket);
    open_.push_back(anchor);
  }
  void close() {
    flat_.close();
    const YAML::anchor_t anchor = open_.back();
    open_.pop_back();
    if (anchor != YAML::NullAnchor && flat_.inside()) {
      anchors_[anchor] = {std::string(flat_.last_closed()), Anchor::Kind::json};
    }
  }
  [[noreturn]] void fail(const YAML::Mark& mark, std::string_view why) const {
    throw Error(Errc::config, fmt::format("{}: line {}: {}", name_, mark.line + 1, why));
  }

  std::string_view text_, name_;
  Flattener flat_;
  std::map<YAML::anchor_t, Anchor> anchors_;
  std::vector<YAML::anchor_t> open_;
};

}  // namespace

Pairs read_yaml(std::string_view text, std::string_view name) {
  YamlEvents events(text, name);
  std::istringstream stream{std::string(text)};
  try {
    YAML::Parser parser(stream);
    parser.HandleNextDocument(events);
  } catch (const YAML::Exception& failure) {
    throw Error(Errc::config, fmt::format("{}: line {}, column {}: this is not YAML: {}", name, failure.mark.line + 1,
                                          failure.mark.column + 1, failure.msg));
  }
  return events.take();
}

}  // namespace seawall::config::detail

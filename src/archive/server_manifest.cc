#include "archive/server_manifest.hh"

#include <fmt/format.h>

#include <string>

#include "archive/detail/json_stream.hh"
#include "base/text.hh"

namespace seawall::archive {
namespace {

constexpr unsigned in_document = 1, in_list = 2, in_file = 3;

std::optional<std::string> bytes_of_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const auto byte = parse_int<unsigned>(hex.substr(i, 2), 16);
    if (!byte || *byte > 255) return std::nullopt;
    bytes += static_cast<char>(*byte);
  }
  return bytes;
}

/// PostgreSQL prints the sum's bytes as they lie in memory, on every machine that it is built for nowadays the lowest
/// first.
std::optional<std::uint32_t> crc_of(std::string_view hex) {
  const auto bytes = bytes_of_hex(hex);
  if (!bytes || bytes->size() != sizeof(std::uint32_t)) return std::nullopt;
  return load_le<std::uint32_t>(bytes_of(*bytes), 0);
}

class Reader final : public JsonEvents {
 public:
  explicit Reader(const std::function<void(const ServerManifestFile&)>& visit) : visit_(visit) {}
  bool complete() const { return has_files_; }

 protected:
  bool on_key(std::string_view key) override {
    field_ = Field::none;
    if (depth() == in_document && key == "Files") field_ = Field::files;
    if (depth() == in_file) field_ = field_of(key);
    return field_ != Field::none || skip_value();
  }

  bool on_begin(bool is_object) override {
    if (depth() == in_document && is_object) return true;
    if (depth() == in_list && field_ == Field::files && !is_object) return has_files_ = true;
    if (depth() != in_file || !is_object) return wrong();
    path_.reset();
    bytes_.reset();
    algorithm_.clear();
    sum_.clear();
    return true;
  }

  bool on_end() override {
    if (depth() != in_list) return true;
    if (!path_ || path_->empty() || !bytes_) return fail("a file without path or size");
    ServerManifestFile file{.path = *path_, .bytes = *bytes_, .crc32c = std::nullopt};
    if (algorithm_ == "CRC32C") {
      file.crc32c = crc_of(sum_);
      if (!file.crc32c) return fail(fmt::format("a checksum of {} that is none", json_string(*path_)));
    }
    visit_(file);
    return true;
  }

  bool on_null() override { return wrong(); }
  bool on_bool(bool /*truth*/) override { return wrong(); }

  bool on_number(std::string_view text) override {
    if (field_ != Field::size) return wrong();
    bytes_ = parse_int<std::uint64_t>(text);
    return bytes_.has_value() || wrong();
  }

  bool on_text(std::string_view text) override {
    switch (field_) {
      case Field::path:
        path_ = text;
        return true;
      case Field::encoded_path:
        path_ = bytes_of_hex(text);
        return path_.has_value() || wrong();
      case Field::algorithm:
        algorithm_ = text;
        return true;
      case Field::sum:
        sum_ = text;
        return true;
      default:
        return wrong();
    }
  }

 private:
  enum class Field { none, files, path, encoded_path, size, algorithm, sum };

  static Field field_of(std::string_view key) {
    if (key == "Path") return Field::path;
    if (key == "Encoded-Path") return Field::encoded_path;
    if (key == "Size") return Field::size;
    if (key == "Checksum-Algorithm") return Field::algorithm;
    if (key == "Checksum") return Field::sum;
    return Field::none;
  }
  bool wrong() { return fail("a value where another kind belongs"); }

  const std::function<void(const ServerManifestFile&)>& visit_;
  Field field_ = Field::none;
  bool has_files_ = false;
  std::optional<std::string> path_;
  std::optional<std::uint64_t> bytes_;
  std::string algorithm_;
  std::string sum_;
};

}  // namespace

void read_server_manifest(Source& from, std::string_view origin,
                          const std::function<void(const ServerManifestFile&)>& visit) {
  Reader reader(visit);
  parse_json_stream(from, reader, origin);
  if (!reader.complete()) throw Error(Errc::corrupt, fmt::format("{}: no list of files in it", origin));
}

}  // namespace seawall::archive

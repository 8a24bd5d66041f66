#include <array>
#include <cstring>

#include "crypto/openpgp/message.hh"
#include "crypto/openpgp/packet.hh"
#include "crypto/openpgp/sealing.hh"

namespace seawall::crypto::openpgp {
namespace {

constexpr unsigned part_log2 = 17;
constexpr std::size_t part_bytes = std::size_t{1} << part_log2;
constexpr std::size_t aes_block = 16;
constexpr std::string_view digest_header{"\xD3\x14", 2};
/// Before the content of a literal: binary, no file name, no date.
constexpr std::string_view literal_fields{"b\0\0\0\0\0", 6};
/// Room before the content of a part: what was left of the last unit, and a packet's header with its fields.
constexpr std::size_t front = Sealing::unit + 12;

class MessageWriter final : public Filter {
 public:
  MessageWriter(const SessionKey& session, std::string recipients, Sink& next)
      : next_(next),
        recipients_(std::move(recipients)),
        sealing_(make_sealing(session.key.span())),
        plain_(front + part_bytes + digest_header.size() + sha1_bytes),
        sealed_(1 + 2 * part_bytes + front + digest_header.size() + sha1_bytes) {
    sealed_.data()[1] = std::byte{1};  // the version of the packet
    stored_ = 1;
    // Random bytes, the last two of them twice: a reader sees at once whether its key is right.
    ossl::fill_random({carry_.data(), aes_block});
    std::memcpy(carry_.data() + aes_block, carry_.data() + aes_block - 2, 2);
    carried_ = aes_block + 2;
    room_ = part_bytes - literal_fields.size();
  }

  MutableBytes space() override { return plain_.span().subspan(front + filled_, room_ - filled_); }

  void filled(std::size_t n) override {
    filled_ += n;
    if (filled_ == room_) end_part();
  }

  void finish() override {
    std::string header = first_ ? packet_header(Tag::literal, literal_fields.size() + filled_) : packet_length(filled_);
    if (first_) header.append(literal_fields);
    std::byte* const begin = put_front(header);
    std::byte* end = plain_.data() + front + filled_;
    std::memcpy(end, digest_header.data(), digest_header.size());
    end += digest_header.size();
    const auto bytes = static_cast<std::size_t>(end - begin) + sha1_bytes;
    sealing_->finish({begin, bytes}, sealed_.data() + 1 + stored_);
    stored_ += bytes;
    emit_last();
  }

 private:
  /// The content has filled a part: another one follows.
  void end_part() {
    std::string header;
    if (first_) header.push_back(static_cast<char>(0xC0U | static_cast<unsigned>(Tag::literal)));
    header.push_back(std::to_integer<char>(partial_length(part_log2)));
    if (first_) header.append(literal_fields);
    std::byte* const begin = put_front(header);
    const auto bytes = static_cast<std::size_t>(plain_.data() + front + filled_ - begin);
    const std::size_t whole = bytes / Sealing::unit * Sealing::unit;
    sealing_->run({begin, whole}, sealed_.data() + 1 + stored_);
    stored_ += whole;
    carried_ = bytes - whole;
    std::memcpy(carry_.data(), begin + whole, carried_);
    while (stored_ >= part_bytes) emit_part();
    first_ = false;
    filled_ = 0;
    room_ = part_bytes;
  }

  /// Places what was carried over and `header` before the content; returns the beginning.
  std::byte* put_front(std::string_view header) {
    std::byte* begin = plain_.data() + front - header.size() - carried_;
    std::memcpy(begin, carry_.data(), carried_);
    std::memcpy(begin + carried_, header.data(), header.size());
    return begin;
  }

  void emit_part();
  void emit_last();

  Sink& next_;
  std::string recipients_;  // until they are written
  const std::unique_ptr<Sealing> sealing_;

  AlignedBuffer plain_;
  std::size_t filled_ = 0;                        // content in it
  std::size_t room_ = 0;                          // content that completes the part
  bool first_ = true;                             // no part has been completed
  std::array<std::byte, Sealing::unit> carry_{};  // less than a unit, not encrypted yet
  std::size_t carried_ = 0;

  AlignedBuffer sealed_;  // a byte for a length, then what is encrypted
  std::size_t stored_ = 0;
  bool partial_ = false;  // a part has been written
};

void MessageWriter::emit_part() {
  if (!partial_) {
    recipients_.push_back(static_cast<char>(0xC0U | static_cast<unsigned>(Tag::protected_v1)));
    next_.write(bytes_of(recipients_));
    partial_ = true;
  }
  sealed_.data()[0] = partial_length(part_log2);
  next_.write(sealed_.span().first(1 + part_bytes));
  stored_ -= part_bytes;
  std::memmove(sealed_.data() + 1, sealed_.data() + 1 + part_bytes, stored_);
}

void MessageWriter::emit_last() {
  std::string header = partial_ ? packet_length(stored_) : recipients_ + packet_header(Tag::protected_v1, stored_);
  next_.write(bytes_of(header));
  next_.write(sealed_.span().subspan(1, stored_));
}

}  // namespace

std::unique_ptr<Filter> write_message(const SessionKey& session, std::string recipients, Sink& next) {
  return std::make_unique<MessageWriter>(session, std::move(recipients), next);
}

}  // namespace seawall::crypto::openpgp

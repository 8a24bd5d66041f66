#pragma once

#include <memory>
#include <string>

#include "base/io.hh"
#include "crypto/openpgp/packet.hh"

namespace seawall::crypto::openpgp {

/// Reads what stands inside the encryption: one literal packet, perhaps compressed, whose content goes to `next`.
/// Errors are Refused: Errc::corrupt, or Errc::unsupported for a compression that is not read.
class ContentReader final : public Sink {
 public:
  explicit ContentReader(Sink& next, unsigned depth = 0);
  ~ContentReader() override;
  void write(Bytes data) override;
  /// Refuses content that ended early or that was no literal.
  void finish();

 private:
  class Inflater;

  void begin(Tag tag);
  void body(Bytes data);
  void end();
  void read_literal(Bytes data);
  void read_compressed(Bytes data);

  Sink& next_;
  const unsigned depth_;  // of compression around this
  PacketSplitter splitter_;
  std::string fields_;        // of a literal, while they come in
  bool in_content_ = false;   // of the literal: its fields are complete
  bool has_content_ = false;  // a literal or a compressed packet was met
  bool passed_over_ = false;  // the current packet is
  std::unique_ptr<Inflater> inflater_;
};

}  // namespace seawall::crypto::openpgp

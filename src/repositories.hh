#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/clock.hh"
#include "base/log.hh"
#include "config/sources.hh"
#include "crypto/crypto.hh"
#include "pipeline/repository.hh"

/// Opening archives: storage, codec and encryption as the settings say. Errc::config for settings that say nothing or
/// contradict each other. `sources`, `log` and `clock` must outlive what is opened.
namespace seawall {

/// The configured archive; `unlimited`: rate limits are off.
pipeline::Repository open_repository(const config::Sources& sources, bool unlimited, Log& log, Clock& clock,
                                     std::stop_token stop);

/// Another archive than the configured one: as its file says, with credentials of the environment where it says none.
pipeline::Repository open_repository_of(const std::string& path, config::Sources& sources, bool unlimited, Log& log,
                                        Clock& clock, const std::stop_token& stop);

/// WAL-E asks the user's key ring whatever it was told to write with.
std::shared_ptr<const crypto::Crypter> reader_of_openpgp(const config::Sources& sources, Clock& clock);

}  // namespace seawall

service {
    ssh {
        port "22"
    }
}
interfaces {
    ethernet eth0 {
        address "dhcp"
    }
    loopback lo {
    }
}
system {
    config-management {
        commit-revisions "100"
    }
    console {
        device ttyS0 {
            speed "115200"
        }
    }
    host-name "vyos"
    login {
        user vyos {
            authentication {
                encrypted-password "$6$salt$pfWEh40/jW3sybE9zOQ9fIpZ9F6fyy/jogzYisHAyINpuc9icJd187oNK8pukepHV.QSHFtNVGUeWCRJCE9G4/"
            }
        }
    }
    syslog {
        local {
            facility all {
                level "info"
            }
        }
    }
}


// Warning: Do not remove the following line.
// vyos-config-version: "config-management@1:conntrack@5:interfaces@33:system@29"
// Release version: 2026.03.03-0027-rolling
